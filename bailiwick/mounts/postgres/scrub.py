"""The text of a refused statement as the ledger may keep it: without its literals, which may be personal data.

Works on text that no parser takes. What is in doubt is left out.
"""

from __future__ import annotations

import re

_LONGEST = 4096

_token = re.compile(
    r"""
      (?P<text>  [eE]'(?:[^'\\]|''|\\.)*' | (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*' )
    | (?P<name>  "(?:[^"]|"")*" | [A-Za-z_\u0080-\U0010ffff][\w$\u0080-\U0010ffff]* )
    | (?P<dollar> \$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?\$(?P=tag)\$ )
    | (?P<param> \$\d+ )
    | (?P<number> \d[\w.]* | \.\d[\w.]* )
    | (?P<line>  --[^\n]* )
    | (?P<block> /\*(?:(?!/\*).)*?\*/ )
    | (?P<space> \s+ )
    | (?P<open>  ['"] | /\* | \$[A-Za-z_]*\$ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def without_literals(text: str) -> str:
    """Return the statement with `$n` for every literal, without comments, cut where a literal does not end."""
    parts: list[str] = []
    count = 0
    pos, end = 0, min(len(text), _LONGEST)
    while pos < end:
        found = _token.match(text, pos, end)
        if found is None or found.lastgroup == "open":
            break
        kind = found.lastgroup
        if kind in ("text", "dollar", "tag", "number"):
            count += 1
            parts.append(f"${count}")
        elif kind in ("line", "block", "space"):
            parts.append(" ")
        else:
            parts.append(found[0])
        pos = found.end()
    return "".join(parts).strip() + (" …" if pos < len(text) else "")
