"""Alembic's entry: runs the versions on the connection that `bailiwick.gateway.state` hands over."""

from __future__ import annotations

from typing import cast

from alembic import context
from sqlalchemy import Connection

connection = cast("Connection", context.config.attributes["connection"])
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
