"""Names of what is made in a database. The same policy gives the same names, in every process.

Roles belong to a whole cluster, so their names hold the database too: two databases never share a role.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bailiwick.model.scope import Scope

SETTING = "bailiwick.session"
"""The setting that holds a connection's bound session values."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mount is compiled for."""

    mount: str
    database: str
    login: str
    """The role as which the gateway logs in: a member of every scope's role."""


@dataclass(frozen=True, slots=True)
class ScopeNames:
    """One scope inside the database."""

    role: str
    """As which the gateway's connection runs: it may use the scope's views, and nothing else."""
    definer: str
    """Owns the views: it may read the tables, as far as the scope needs it; nobody logs in or acts as it."""
    prefix: str

    def schema(self, source: str) -> str:
        """Return the schema that holds the views over the tables of schema `source`."""
        return _name("bw", (self.prefix, source), (self.role, source))

    @property
    def guard(self) -> str:
        """Name of the triggers that check this scope's writes; before every other in the server's order, so that it
        sees what the agent wrote and not what the table's own triggers made of it."""
        return "!" + self.role


def scope_names(place: Place, scope: Scope, resources: frozenset[str]) -> ScopeNames:
    """Return the names of a scope; `resources` are the mount's, since conditions on others make no difference there."""
    passed = sorted(each for each in scope.passed if each.rpartition("@")[2] in resources)
    told = (place.mount, scope.agent, scope.task or "")
    whole = (place.database, *told, *passed)
    return ScopeNames(_name("bw", told, whole), _name("bwd", told, whole), "_".join(told))


def powerless_of(place: Place) -> str:
    """Return the role of sessions that have nothing in this mount."""
    return _name("bw", (place.mount, "nothing"), (place.database, place.mount))


def owner_of(place: Place) -> str:
    """Return the role that owns the functions and the keys."""
    return _name("bwo", (place.mount,), (place.database, place.mount))


def home_of(mount: str) -> str:
    """Return the schema of the functions and the keys."""
    return _name("bailiwick", (mount,), (mount,))


def mark(place: Place) -> str:
    """Return what stands in the comment of every role made for a mount of a database."""
    return f"[bailiwick {_digest(place.database, place.mount)}]"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def _name(kind: str, told: tuple[str, ...], whole: tuple[str, ...]) -> str:
    """Return an identifier of at most 63 bytes: words that people recognise, and a digest that tells apart."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(told)).strip("_")
    return f"{kind}_{words[:40].strip('_')}_{_digest(kind, *whole)}"
