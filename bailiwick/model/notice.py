"""Notices: what people are told outside of the console and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NoticeKind = Literal[
    "approval", "elevation", "limit", "quarantine", "suspension", "policy", "review", "search", "finding", "test"
]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know. Whoever makes one puts no value of any data into it: names, ids, counts.

    What agents wrote may stand in it: whatever could be more than plain text is taken out before it is sent.
    """

    kind: NoticeKind
    subject: str
    """Id or name of what it is about."""
    title: str
    lines: tuple[str, ...] = ()
    link: str = ""
    """Path of the page where people go on, e.g. `/console/approvals/apr_…`."""
    once: str = ""
    """Names the occasion: what has the same is sent once, however often it is told. Empty: each is another one."""
