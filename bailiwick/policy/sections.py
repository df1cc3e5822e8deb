"""Sections of a policy's text as they are written, with their comments."""

from __future__ import annotations

import re

_KEY = re.compile(r"[A-Za-z_\"']")


def section(text: str, name: str) -> str:
    """Return the lines below a key of the top level as they are; empty where there are none, or it is one line."""
    found: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if _KEY.match(line):
            inside = re.match(rf"[\"']?{re.escape(name)}[\"']?:\s*(#.*)?$", line) is not None
        elif inside and (line.startswith((" ", "#")) or not line.strip()):
            found.append(line if line.endswith("\n") else line + "\n")
    return "".join(found)
