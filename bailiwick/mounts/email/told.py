"""What an agent is told of `send`: the templates that its session may use, with their variables. No I/O."""

from __future__ import annotations

from datetime import datetime

from bailiwick.decide.asking import matcher_of
from bailiwick.decide.templates import templates_in
from bailiwick.match.evaluate import Resolve, holds
from bailiwick.model.email import Template, Variable
from bailiwick.model.matcher import Matcher
from bailiwick.model.scope import ToolScope
from bailiwick.policy.email_words import may_write

_DESCRIPTION = "Sends an e-mail."


def templates_for(tool: ToolScope, resolve: Resolve, now: datetime) -> list[Template]:
    """Return the templates that some grant of a session names."""
    ways = [way for grant in tool.allows if (way := matcher_of(grant, "template")) is not None]

    def fits(way: Matcher, name: str) -> bool:
        return holds(way, name, resolve, now) is True

    known = templates_in(tool.locked.definition)
    return [each for name, each in known.items() if any(fits(way, name) for way in ways)]


def described(tool: ToolScope, resolve: Resolve, now: datetime) -> str:
    """Return the tool in words: what it sends, and of which templates."""
    parts = [tool.tool.description or _DESCRIPTION]
    if may_write(tool):
        parts.append("It takes a `subject` and a `body`.")
    if any(matcher_of(grant, "attachments") is not None for grant in tool.allows):
        parts.append("It takes `attachments`: files that the session may read, each as `MOUNT/PATH`.")
    found = templates_for(tool, resolve, now)
    if found:
        parts.append("Templates, each with its `variables`:")
    return "\n".join([" ".join(parts), *(_said(each) for each in found)])


def _said(template: Template) -> str:
    about = f": {template.description}" if template.description else ""
    variables = ", ".join(_variable(name, each) for name, each in template.variables.items())
    return f"- `{template.name}`{about} ({variables or 'no variables'})"


def _variable(name: str, variable: Variable) -> str:
    bounds = f" of at most {variable.max} characters" if variable.type in ("string", "text", "strings") else ""
    several = f", at most {variable.items} of them" if variable.type == "strings" else ""
    about = f": {variable.description}" if variable.description else ""
    return f"`{name}` {variable.type}{bounds}{several}{', optional' if variable.optional else ''}{about}"
