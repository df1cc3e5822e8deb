"""The policy in force: read, made ready, watched, promoted."""
