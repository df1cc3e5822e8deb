"""What a session may do with tools, in words that somebody reads who decides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bailiwick.match.in_words import listed, matcher_in_words, operand_in_words
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Anything, OneOf
from bailiwick.model.policy import Grant
from bailiwick.model.scope import CallGrant, Scope, ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.policy.words import mask_in_words, scope_in_words, terms_in_words


def session_in_words(scope: Scope, lock: Lock, mounts: Collection[str]) -> tuple[str, ...]:
    """Return one line for each thing that a session may do at those mounts: with data, tools and functions."""
    resources = {name: each for name, each in scope.resources.items() if each.resource.mount in mounts}
    lines = scope_in_words(replace(scope, resources=resources), lock)
    tools = {name: tool for name, tool in scope.tools.items() if tool.mount in mounts}
    return (*lines, *(line for name, tool in tools.items() for line in tool_in_words(name, tool, scope.grants)))


def tool_in_words(name: str, scope: ToolScope, grants: Mapping[str, Grant] | None = None) -> tuple[str, ...]:
    """Return one line for each grant and deny of a tool, e.g. `calls refund with amount at most 500 …`."""
    known = grants or {}
    gate = _held(scope)
    if scope.tool.kind == "file":
        return _files_in_words(scope, known, gate)
    fixed = [f"{key} is always {operand_in_words(value)}" for key, value in scope.tool.fixed.items()]
    said = f"; {', '.join(fixed)}" if fixed else ""
    lines = [
        f"{_verb(name, scope)} {_arguments(each)}{said}{_result(each)}{terms_in_words(known.get(each.grant))}{gate}"
        for each in scope.allows
    ]
    return (*lines, *(_denied(name, each) for each in scope.denies))


def _files_in_words(scope: ToolScope, known: Mapping[str, Grant], gate: str) -> tuple[str, ...]:
    """Return one line for each grant and deny of a verb on files, e.g. `reads files below confidential`."""
    verb = scope.tool.action.verb
    told = "changes" if verb == "update" else f"{verb}s"
    lines = [
        f"{told} {_which(each)}{_redacted(each)}{terms_in_words(known.get(each.grant))}{gate}" for each in scope.allows
    ]
    return (*lines, *(f"never {verb}s {_which(each)}{_when(each)}" for each in scope.denies))


def _which(grant: CallGrant) -> str:
    """Return which files a grant is about."""
    named = {("path" if key == "folded" else key): each for key, each in grant.args.items() if key != EVERY_ARGUMENT}
    level = named.get("level")
    below = level == OneOf(("public", "internal"))
    bounds = [
        matcher_in_words(key, each)
        for key, each in named.items()
        if not isinstance(each, Anything) and not (below and key == "level")
    ]
    return ("files below confidential" if below else "files") + (f" with {listed(bounds)}" if bounds else "")


def _when(grant: CallGrant) -> str:
    return f" when `{' '.join(grant.when.split())}`" if grant.when is not None else ""


def _redacted(grant: CallGrant) -> str:
    return f"; {listed(sorted(grant.masks))} masked" if grant.masks else ""


def _held(scope: ToolScope) -> str:
    """Return which gates hold it: each always, or with which arguments."""
    told: list[str] = []
    for name in scope.held:
        bounds = [matcher_in_words(*each) for each in scope.bounds.get(name, {}).items() if each[0] != EVERY_ARGUMENT]
        told.append(f"gate {name}" + (f" with {listed(bounds)}" if bounds else ""))
    return f"; needs approval ({', '.join(told)})" if told else ""


def _verb(name: str, scope: ToolScope) -> str:
    """Return what is done: a tool is called, a prompt used, a document read."""
    plain = name.removeprefix(f"{scope.tool.kind}:")
    return {
        "tool": f"calls {name}",
        "prompt": f"uses prompt {plain}",
        "document": f"reads {plain}",
        "route": f"calls {plain}",
        "field": f"asks for {plain}",
        "file": f"has files {plain}",
    }[scope.tool.kind]


def _arguments(grant: CallGrant) -> str:
    named = {key: matcher for key, matcher in grant.args.items() if key != EVERY_ARGUMENT}
    bounds = [
        f"any {key}" if isinstance(matcher, Anything) else matcher_in_words(key, matcher)
        for key, matcher in named.items()
    ]
    if EVERY_ARGUMENT in grant.args:
        bounds.append("any other argument" if bounds else "any argument")
    return f"with {listed(bounds)}" if bounds else "without arguments"


def _result(grant: CallGrant) -> str:
    parts: list[str] = []
    if grant.items:
        parts.append("only items where " + " and ".join(matcher_in_words(*each) for each in grant.items.items()))
    if grant.fields is not None:
        parts.append(f"shows {', '.join(grant.fields) or 'nothing'}")
    parts += [f"{path} {mask_in_words(mask)}" for path, mask in grant.masks.items()]
    if grant.hidden:
        parts.append(f"without {', '.join(sorted(grant.hidden))}")
    return "".join(f"; {part}" for part in parts)


def _denied(name: str, deny: CallGrant) -> str:
    what = f"never {', '.join(sorted(deny.hidden))} of {name}" if deny.hidden else f"never {name}"
    if deny.items:
        what = f"never items of {name} where " + " and ".join(matcher_in_words(*each) for each in deny.items.items())
    named = [matcher_in_words(key, matcher) for key, matcher in deny.args.items() if key != EVERY_ARGUMENT]
    when = f" when `{' '.join(deny.when.split())}`" if deny.when is not None else ""
    return what + (f" with {listed(named)}" if named else "") + when
