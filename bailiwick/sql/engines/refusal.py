"""How a walk denies: by one exception that never leaves this package."""

from __future__ import annotations

from typing import NoReturn

from bailiwick.model.decision import Denial, DenialCode


class Refused(Exception):  # noqa: N818  # not an error: it carries a denial
    """The statement is denied."""

    def __init__(self, denial: Denial) -> None:
        super().__init__(denial.message)
        self.denial = denial


def refuse(code: DenialCode, message: str, allowed: str = "", remedy: str = "", action: str = "") -> NoReturn:
    """Deny the statement that is being walked."""
    raise Refused(Denial(code, message, allowed, remedy, action))
