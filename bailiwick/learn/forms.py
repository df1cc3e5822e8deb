"""Grants of one tool: arguments are closed, so each set of them that is given together has to be admitted by one grant.

What is always given stands in every grant. Of what is given sometimes, a free argument may be left out anyway; one
that is bounded has two cases: within its bounds, or left out (`{empty: true}`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from bailiwick.learn.draft import Line, Proposed
from bailiwick.learn.judging import Judged
from bailiwick.learn.settled import Settled
from bailiwick.model.matcher import Anything, Empty, Equal, Glob, Matcher, OneOf

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"}
    | {"namespace", "null", "package", "return", "true", "var", "void", "while"}
)
"""Words of CEL that cannot be selected by."""
_MOST_OPTIONAL = 3
_ALL_COMBINATIONS = 50
"""With fewer sessions that called it, combinations that were not seen are admitted as well."""


def tool_grants(
    settled: Settled, deed: int, whole: Proposed, judged: Mapping[str, Judged], lists: Mapping[str, Judged]
) -> list[Proposed]:
    """Return the grants of one tool. `whole` is all of one but its arguments; `lists` judges elements of lists."""
    given = _given(settled, deed)
    always = {name for name in judged if all(name in names for names, _ in given)}
    bounded = [name for name in judged if name not in always and not isinstance(judged[name].matcher, Anything)]
    bounded.sort(key=lambda name: (judged[name].generalisation != "the session's value", judged[name].new, name))
    freed = set(bounded[_MOST_OPTIONAL:])
    bounded = bounded[:_MOST_OPTIONAL]
    lines = [_line(name, each, freed=name in freed) for name, each in sorted(judged.items())]
    conditions = [text for name in sorted(lists) if (text := condition(name, lists[name].matcher, name in always))]
    lines += [
        Line(f"elements of {name}", each.generalisation, each.confidence, each.why, each.new)
        for name, each in sorted(lists.items())
        if not isinstance(each.matcher, Anything)
    ]
    base: dict[str, Matcher] = {}
    for name, each in sorted(judged.items()):
        base[name] = Anything() if name in freed else each.matcher
    for name in _only_null(settled, deed, judged):
        base[name] = Empty(True)
    cases = _cases(given, bounded)
    if len(cases) > 1 and len(cases) > len({frozenset(names & set(bounded)) for names, _ in given}):
        lines.append(Line("arguments left out", "any combination", "medium", f"of {', '.join(bounded)}"))
    found: list[Proposed] = []
    for case in cases:
        args = dict(base)
        for name in bounded:
            args[name] = _kept_open(base[name]) if name in case else Empty(True)
        found.append(replace(whole, args=args or None, when=" && ".join(conditions), lines=tuple(lines)))
    return found


def _given(settled: Settled, deed: int) -> list[tuple[frozenset[str], int]]:
    """Return the sets of arguments that calls of the tool had, each with its sessions."""
    gathered = settled.gathered
    found: dict[frozenset[str], int] = {}
    of_deed = {n: frozenset(form.given) for n, form in enumerate(gathered.forms) if deed in form.deeds}
    for session in settled.sessions:
        for names in {of_deed[form] for form in gathered.sessions[session].forms if form in of_deed}:
            found[names] = found.get(names, 0) + 1
    return sorted(found.items(), key=lambda pair: (-pair[1], sorted(pair[0])))


def _cases(given: Sequence[tuple[frozenset[str], int]], bounded: Sequence[str]) -> list[frozenset[str]]:
    """Return which of the bounded arguments are given together: as seen, or with few sessions in any combination."""
    seen = list(dict.fromkeys(names & frozenset(bounded) for names, _ in given))
    once = sum(1 for _, sessions in given if sessions == 1)
    if len(seen) > 1 and (sum(sessions for _, sessions in given) < _ALL_COMBINATIONS or once):
        every = product((True, False), repeat=len(bounded))
        return [frozenset(name for name, there in zip(bounded, each, strict=True) if there) for each in every]
    return seen or [frozenset()]


def _only_null(settled: Settled, deed: int, judged: Mapping[str, Judged]) -> list[str]:
    """Return the arguments that were given as null and nothing else."""
    atoms = settled.gathered.atoms
    names = {atoms[n].name for n in settled.of_atom if atoms[n].deed == deed and atoms[n].what == "argument"}
    return sorted(names - set(judged))


def _kept_open(matcher: Matcher) -> Matcher:
    """Return a matcher by which nothing is filled in where the argument is left out: other grants are for that."""
    return OneOf((matcher.operand,)) if isinstance(matcher, Equal) else matcher


def _line(name: str, each: Judged, *, freed: bool) -> Line:
    if freed:
        return Line(f"argument {name}", "any value", "low", "one of too many that may be left out", each.new)
    return Line(f"argument {name}", each.generalisation, each.confidence, each.why, each.new)


def condition(name: str, matcher: Matcher, required: bool) -> str:
    """Return the condition, in CEL, that each element of a list meets a matcher; empty: there is none to be made."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        return ""
    match matcher:
        case Equal(str() as only):
            test = f"each == {json.dumps(only)}"
        case OneOf(operands) if all(isinstance(each, str) for each in operands):
            test = f"each in [{', '.join(json.dumps(each) for each in operands)}]"
        case Glob(pattern) if pattern.startswith("*"):
            test = f"each.endsWith({json.dumps(pattern[1:])})"
        case _:
            return ""
    tested = f"args.{name}.all(each, {test})"
    return tested if required else f"(!has(args.{name}) || {tested})"
