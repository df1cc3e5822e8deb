"""A denial as an error of the desk."""

from __future__ import annotations

from bailiwick.errors import BailiwickError
from bailiwick.model.decision import Denial


class RefusedError(BailiwickError):
    """What was asked is refused; carries the denial's own code."""

    def __init__(self, denial: Denial) -> None:
        allowed = f"allowed: {denial.allowed}; " if denial.allowed else ""
        super().__init__(denial.message, remedy=allowed + denial.remedy)
        self.code = denial.code
        self.denial = denial
