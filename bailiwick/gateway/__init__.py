"""The one path, and everything that it waits for, stores, counts and records."""
