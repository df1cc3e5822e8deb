"""What every decision on a call begins with: who asks, and what was accepted of what is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import cast

from bailiwick.match.condition import CelInput
from bailiwick.match.evaluate import Resolve
from bailiwick.model.decision import Denial
from bailiwick.model.email import Attachment
from bailiwick.model.matcher import Matcher
from bailiwick.model.policy import Policy
from bailiwick.model.scope import CallGrant, Scope
from bailiwick.model.session import Claim
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.model.value import Operand, Ref

Arguments = Mapping[str, object]


class UnclearError(ValueError):
    """A call that is not taken, whoever would be allowed to make it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.denial = Denial("argument_not_granted", message, "", remedy)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who calls, and when."""

    policy: Policy
    scope: Scope
    resolve: Resolve
    session: Mapping[str, CelInput]
    """What conditions see as `session`."""
    now: datetime
    attached: Mapping[str, Attachment] = field(default_factory=dict[str, Attachment])
    """Reference → what the gateway read of it for the session. INVARIANT: nothing of this is what an agent says."""


@lru_cache(maxsize=4096)
def accepted_properties(definition: str) -> Mapping[str, object]:
    """Return the properties of the input schema of an accepted tool: no other argument is ever sent."""
    found = cast("object", json.loads(definition))
    schema = cast("dict[str, object]", found).get("inputSchema") if isinstance(found, dict) else None
    properties = cast("dict[str, object]", schema).get("properties") if isinstance(schema, dict) else None
    return cast("dict[str, object]", properties) if isinstance(properties, dict) else {}


def matcher_of(grant: CallGrant, name: str) -> Matcher | None:
    """Return what a grant says of an argument, None when it does not admit it."""
    return grant.args.get(name, grant.args.get(EVERY_ARGUMENT))


def as_json(value: Claim | None, schema: object = None) -> object:
    """Return a value as JSON has it; as text where the schema takes only that. None: there is none."""
    if value is None or isinstance(value, tuple):
        return None
    wants_text = isinstance(schema, dict) and cast("dict[str, object]", schema).get("type") == "string"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and abs(value.adjusted()) < 20
        return str(value) if wants_text else int(value) if whole else float(value)
    if wants_text and not isinstance(value, str):
        return ("true" if value else "false") if isinstance(value, bool) else str(value)
    return value


def resolved(operand: Operand, resolve: Resolve) -> Claim | None:
    """Return the value of an operand for a session; None when it has none."""
    return resolve(operand) if isinstance(operand, Ref) else operand
