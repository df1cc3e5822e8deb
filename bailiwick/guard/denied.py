"""What an application gets in place of a result: a denial, as a value or raised; or that a function failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from bailiwick.decide.denials import words_of
from bailiwick.errors import BailiwickError
from bailiwick.gateway.wire import Json
from bailiwick.model.decision import Denial, DenialCode


@dataclass(frozen=True, slots=True)
class Denied:
    """A denial, written for the agent that reads it."""

    denial: Denial
    decision: str = ""
    """The id of its record in the ledger."""
    approval: str = ""
    """The id of the approval that it waits for; empty: it waits for none."""

    @property
    def code(self) -> DenialCode:
        """What kind of denial it is; stable."""
        return self.denial.code

    def __str__(self) -> str:
        """Return it in one line, to be shown to the agent."""
        return words_of(self.denial)


class DeniedError(BailiwickError):
    """A call was denied: nothing was done, or nothing of what it did is shown. Its text is fit for the agent."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(str(denied), remedy=denied.denial.remedy)
        self.denied = denied
        self.code = denied.code


class ApprovalPendingError(DeniedError):
    """A call waits for people: nothing was done. Made again, with the same arguments, it takes up where it was."""

    @property
    def approval(self) -> str:
        """The id of the approval that it waits for."""
        return self.denied.approval


class FunctionError(BailiwickError):
    """A guarded function raised an exception which the session may not see."""

    code = "tool_error"

    def __init__(self, name: str) -> None:
        super().__init__(f"`{name}` failed; why it did is not shown in this session")


def denied_of(answer: Mapping[str, Json]) -> Denied | None:
    """Return the denial in an answer of the gateway, None when it is none."""
    found = answer.get("denied")
    if not isinstance(found, dict):
        return None
    said = {key: str(value) for key, value in found.items()}
    code = said.get("code", "")
    known = cast("DenialCode", code if code in get_args(DenialCode) else "internal_error")
    message, allowed, remedy, action = (said.get(key, "") for key in ("message", "allowed", "remedy", "action"))
    retry = found.get("retry_after")
    seconds = retry if isinstance(retry, int) and not isinstance(retry, bool) else None
    return Denied(
        Denial(known, message, allowed, remedy, action, seconds), said.get("decision", ""), said.get("approval", "")
    )


def error_of(denied: Denied) -> DeniedError:
    """Return a denial as the error that it is raised as."""
    return ApprovalPendingError(denied) if denied.approval else DeniedError(denied)
