"""A finding: what was looked at, how it is, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. Its texts hold names, paths and addresses, never a secret."""

    check: str
    """The kind of check, e.g. `files`; stable, for those who read JSON."""
    level: Level
    message: str
    remedy: str = ""
    """The next step; empty when all is well."""


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, remedy: str) -> Finding:
    """Return what works and should not stay so."""
    return Finding(check, "warning", message, remedy)


def problem(check: str, message: str, remedy: str) -> Finding:
    """Return what does not work, or is open to those whom it should keep out."""
    return Finding(check, "problem", message, remedy)
