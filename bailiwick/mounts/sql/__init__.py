"""Databases other than PostgreSQL: statements of a session, decided and recorded on the one path."""
