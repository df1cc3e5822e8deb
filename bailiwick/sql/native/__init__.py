"""The native depth: scopes as roles, views and checks inside PostgreSQL itself. Text in, text out; no I/O."""
