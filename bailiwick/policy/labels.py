"""Labels: YAML → field → labels."""

from __future__ import annotations

import re

from bailiwick.model.label import levels
from bailiwick.policy.document import Entry, Node
from bailiwick.policy.expect import block, several, text
from bailiwick.policy.problem import Report, near, quoted

_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_KNOWN_LABELS = (*levels, "pii", "untrusted")


def labels(report: Report, entry: Entry | None, what: str) -> dict[str, frozenset[str]]:
    """Return field → labels, of one level at most."""
    found = block(report, entry.value, f"`labels` of {what}") if entry else None
    read: dict[str, frozenset[str]] = {}
    for item in found.entries.values() if found else ():
        marks = frozenset(several(report, item.value, f"the labels of {quoted(item.key)}", _label, least=1))
        if len(marks.intersection(levels)) > 1:
            message = f"{quoted(item.key)} has two levels: " + " and ".join(sorted(marks.intersection(levels)))
            report.error(item.position, "two_levels", message, "keep the higher one")
        read[item.key] = marks
    return read


def _label(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    if found is None or found in _KNOWN_LABELS:
        return found
    if not _LABEL.fullmatch(found):
        message = f"{quoted(found)} is not a label"
        report.error(node.position, "bad_label", message, near(found.lower(), _KNOWN_LABELS) or "use small letters")
        return None
    if _looks_like_a_level(found):
        # A mistyped level would silently be a free tag, and the field would count as `internal`.
        report.error(node.position, "unknown_label", f"unknown label {quoted(found)}", near(found, _KNOWN_LABELS))
    return found


def _looks_like_a_level(found: str) -> bool:
    from difflib import SequenceMatcher

    return any(SequenceMatcher(None, found, known).ratio() >= 0.8 for known in (*levels, "untrusted"))
