"""Session values as JSON text and back, without losing their types.

A fraction stays exact, a date stays a date: each value is stored with the name of its type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast

from bailiwick.errors import ConfigError
from bailiwick.model.session import Claim, User
from bailiwick.model.value import Scalar

Tagged = list[object]


def scalar_to_json(value: Scalar) -> Tagged:
    """Return `[type, text]` of a value."""
    match value:
        case bool():
            return ["boolean", "true" if value else "false"]
        case int():
            return ["integer", str(value)]
        case Decimal():
            return ["number", str(value)]
        case datetime():
            return ["timestamp", value.astimezone(UTC).isoformat()]
        case date():
            return ["date", value.isoformat()]
        case str():
            return ["string", value]


def scalar_from_json(tagged: object) -> Scalar:
    """Return the value that `scalar_to_json` stored."""
    kind, text = cast("tuple[str, str]", tagged)
    match kind:
        case "boolean":
            return text == "true"
        case "integer":
            return int(text)
        case "number":
            return Decimal(text)
        case "timestamp":
            return datetime.fromisoformat(text)
        case "date":
            return date.fromisoformat(text)
        case "string":
            return text
        case _:
            raise ConfigError(f"the state store holds a value of the unknown type `{kind}`")


def dump_values(values: Mapping[str, Scalar]) -> str:
    """Return JSON of context values."""
    return json.dumps({name: scalar_to_json(value) for name, value in values.items()})


def load_values(text: str) -> dict[str, Scalar]:
    """Return the context values that `dump_values` stored."""
    return {name: scalar_from_json(tagged) for name, tagged in cast("dict[str, object]", json.loads(text)).items()}


def dump_user(user: User) -> str:
    """Return JSON of a person with groups and claims."""
    claims = {name: _claim_to_json(claim) for name, claim in user.claims.items()}
    return json.dumps({"id": user.id, "groups": sorted(user.groups), "claims": claims})


def load_user(text: str) -> User:
    """Return the person that `dump_user` stored."""
    stored = cast("dict[str, object]", json.loads(text))
    claims = cast("dict[str, dict[str, object]]", stored["claims"])
    return User(
        id=cast("str", stored["id"]),
        groups=frozenset(cast("list[str]", stored["groups"])),
        claims={name: _claim_from_json(claim) for name, claim in claims.items()},
    )


def _claim_to_json(claim: Claim) -> dict[str, object]:
    if isinstance(claim, tuple):
        return {"many": [scalar_to_json(value) for value in claim]}
    return {"one": scalar_to_json(claim)}


def _claim_from_json(stored: dict[str, object]) -> Claim:
    if "many" in stored:
        return tuple(scalar_from_json(tagged) for tagged in cast("list[object]", stored["many"]))
    return scalar_from_json(stored["one"])
