"""Mounts of kind `email`: messages composed of what was understood, sent through one mail server."""
