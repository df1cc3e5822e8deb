"""What would do where files or messages are denied, in words: from the allows of the scope alone. Pure.

INVARIANT: hangs on session and verb, never on what is there; says nothing that only a deny or an exception names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bailiwick.decide.asking import Asking, resolved
from bailiwick.decide.denials import quoted
from bailiwick.match.file_paths import Pattern, matches, pattern_of, reaches
from bailiwick.match.in_words import listed, matcher_in_words
from bailiwick.model.matcher import Anything, Equal, Every, Glob, Matcher, Not, OneOf, Prefix
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.model.value import Operand

_most_listed = 6
_FACTS = {"size": "size in bytes", "modified": "time of change"}


def allowed_files(asking: Asking, tools: Iterable[ToolScope]) -> str:
    """Return which files the session may use with these verbs: patterns of paths, and bounds on what else they are."""
    said = dict.fromkeys(words for tool in tools for grant in tool.allows if (words := _of_grant(asking, tool, grant)))
    return "; ".join(_some([*said]))


def allowed_message(grant: CallGrant) -> str:
    """Return which messages a grant sends: to whom, by which templates, within which bounds. A value of the session is
    named, not said."""
    bounds = [_bound(quoted(name), each) for name, each in grant.args.items() if name != EVERY_ARGUMENT]
    if EVERY_ARGUMENT in grant.args:
        bounds.append("any other argument" if bounds else "any argument")
    return ", ".join(bounds)


def _of_grant(asking: Asking, tool: ToolScope, grant: CallGrant) -> str:
    """Return e.g. ``read within `kb/**`, paths that start with `kb/7/`, where size in bytes is at most 1000``; empty
    where it reaches no path."""
    mount = asking.policy.files.get(tool.mount)
    matcher = grant.args.get("path", Anything())
    paths = _paths(asking, matcher)
    if mount is None or paths is None:
        return ""
    patterns = [
        text for text in mount.paths.get(tool.tool.action.resource, ()) if _meets(asking, matcher, pattern_of(text))
    ]
    if not patterns:
        return ""
    bounds = [
        _bound(_FACTS.get(name, name), each)
        for name, each in grant.args.items()
        if name not in ("path", EVERY_ARGUMENT) and not isinstance(each, Anything)
    ]
    if grant.when is not None:
        bounds.append("a condition of the policy holds")
    within = f"{tool.tool.action.verb} within {', '.join(_some([quoted(each) for each in patterns]))}"
    return within + (f", {paths}" if paths else "") + (f", where {listed(bounds)}" if bounds else "")


def _paths(asking: Asking, matcher: Matcher) -> str | None:
    """Return what a grant says of paths, with the values of the session; None: the session lacks them."""
    match matcher:
        case Anything():
            return ""
        case Equal() | OneOf():
            texts = _texts(asking, matcher.operands if isinstance(matcher, OneOf) else (matcher.operand,))
            return f"only {listed(_some([quoted(each) for each in texts]), 'or')}" if texts else None
        case Prefix(operand):
            texts = _texts(asking, (operand,))
            return f"paths that start with {quoted(texts[0])}" if texts else None
        case Glob(pattern):
            return f"paths that look like {quoted(pattern)}"
        case Every(parts):
            said = [_paths(asking, part) for part in parts]
            known = [each for each in said if each is not None]
            return ", ".join(each for each in known if each) if len(known) == len(said) else None
        case _:
            return "with exceptions"


def _texts(asking: Asking, operands: Sequence[Operand]) -> list[str]:
    values = [resolved(each, asking.resolve) for each in operands]
    every = [one for each in values for one in (each if isinstance(each, tuple) else (each,))]
    return [each for each in every if isinstance(each, str)]


def _meets(asking: Asking, matcher: Matcher, pattern: Pattern) -> bool:
    """Return whether a path of a resource's pattern could match, as far as what the paths begin with tells."""
    match matcher:
        case Equal() | OneOf():
            texts = _texts(asking, matcher.operands if isinstance(matcher, OneOf) else (matcher.operand,))
            return any(matches(pattern, tuple(each.split("/"))) for each in texts)
        case Prefix(operand):
            return any(reaches(pattern, _folder(each)) for each in _texts(asking, (operand,)))
        case Glob(text):
            return reaches(pattern, _folder(text.partition("*")[0].partition("?")[0]))
        case Every(parts):
            return all(_meets(asking, part, pattern) for part in parts)
        case _:
            return True


def _folder(start: str) -> tuple[str, ...]:
    """Return the whole folders that a path has which starts so."""
    return tuple(start.split("/")[:-1])


def _bound(name: str, matcher: Matcher) -> str:
    """Return a bound. What it makes an exception of is not said."""
    match matcher:
        case Anything():
            return name
        case Not():
            return f"{name} with exceptions"
        case Every(parts):
            return listed([_bound(name, part) for part in parts])
        case OneOf(operands) if len(operands) > _most_listed:
            rest = len(operands) - _most_listed
            return f"{matcher_in_words(name, replace(matcher, operands=operands[:_most_listed]))} or {rest} more"
        case _:
            return matcher_in_words(name, matcher)


def _some(texts: Sequence[str]) -> list[str]:
    rest = len(texts) - _most_listed
    return [*texts[:_most_listed], f"{rest} more"] if rest > 0 else [*texts]
