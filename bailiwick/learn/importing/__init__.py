"""Logs that exist already → observations."""
