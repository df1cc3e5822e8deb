"""Statements for databases other than PostgreSQL: parsed by sqlglot, walked by an allow-list, limited to the scope."""
