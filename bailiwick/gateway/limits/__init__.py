"""Budgets as they are counted: in memory, in a file, in Redis."""
