"""Bailiwick: least privilege for AI agents, enforced outside the agent."""

__version__ = "0.1.0.dev0"
