"""The nouns: frozen dataclasses of the standard library. No I/O, no behaviour beyond trivial look-ups."""
