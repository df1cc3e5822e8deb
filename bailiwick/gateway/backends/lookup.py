"""Looking up derived context values (`from … by …`) in the database behind a mount.

Names come from the policy and are quoted; values are bound. What is found says nothing about what is not.
"""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

from bailiwick.errors import BackendError
from bailiwick.gateway.secrets import Secret
from bailiwick.model.policy import Resource
from bailiwick.model.value import Scalar
from bailiwick.sql.quote import ident

_seconds = 10
_settings = {"search_path": "pg_catalog, pg_temp", "application_name": "bailiwick"}


class PostgresLookup:
    """A `Lookup` over PostgreSQL; one short connection for each value, since sessions are opened rarely."""

    def __init__(self, url: Callable[[str], Secret]) -> None:
        self._url = url
        """Mount → the url of its database, as the policy in force has it."""

    async def __call__(
        self, mount: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
    ) -> object:
        """Return the value of the one row; None when there is none, several, or the types do not fit."""
        query, values = _query(resource, column, by_column, value, tenant)
        try:
            connection = await asyncpg.connect(self._url(mount).reveal(), timeout=_seconds, server_settings=_settings)
        except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unavailable(mount, error) from None
        try:
            async with connection.transaction(readonly=True):
                rows = await connection.fetch(query, *values, timeout=_seconds)
        except ValueError:  # asyncpg's word for a value that is not of the column's type
            return None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _unavailable(mount, error) from None
        finally:
            connection.terminate()
        return rows[0][0] if len(rows) == 1 else None


def _query(
    resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
) -> tuple[str, tuple[Scalar, ...]]:
    table = f"{ident(resource.schema)}.{ident(resource.table)}"
    query = f"SELECT DISTINCT {ident(column)} FROM {table} WHERE {ident(by_column)} = $1"  # noqa: S608  # quoted names
    if resource.tenant is None or tenant is None:
        return f"{query} LIMIT 2", (value,)
    return f"{query} AND {ident(resource.tenant)} = $2 LIMIT 2", (value, tenant)


def _unavailable(mount: str, error: Exception) -> BackendError:
    """Say which mount failed and how; a driver's own message may quote the connection string."""
    return BackendError(
        f"the database behind `{mount}` cannot be asked: {type(error).__name__}",
        remedy="check that it runs and that the mount's url is right",
    )
