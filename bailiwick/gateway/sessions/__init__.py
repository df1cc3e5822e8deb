"""Sessions: opened, live, suspended, ended; and their tokens."""
