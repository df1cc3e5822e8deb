"""Whether what one scope allows of a tool was allowed by another: `policy diff` on tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bailiwick.decide.asking import matcher_of
from bailiwick.match.evaluate import all_of, any_of
from bailiwick.match.implies import implies
from bailiwick.model.matcher import Anything, Matcher
from bailiwick.model.policy import Grant
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.policy.covers import limits_within, mask_within
from bailiwick.policy.tool_words import tool_in_words

Side = tuple[ToolScope | None, Mapping[str, Grant]]
"""One of the two policies: its scope of the tool, and its grants as they stand there."""


def more_of_tool(name: str, mine: Side, other: Side) -> Iterator[tuple[str, bool]]:
    """Yield what `mine` admits of a tool beyond `other`, in words, and whether that is certain."""
    (here, grants), (there, others) = mine, other
    if here is None:
        return
    if there is not None and (here.mount, here.tool.name) != (there.mount, there.tool.name):
        yield f"{name} is the tool {here.tool.name} of mount {here.mount}", False
    if there is not None and here.tool.action != there.tool.action:
        yield f"{name} is {here.tool.action}", False
    lines = tool_in_words(name, here, grants)
    for allow, line in zip(here.allows, lines, strict=False):
        known = False if there is None else any_of(_within(allow, grants, each, others) for each in there.allows)
        if known is not True:
            yield line, known is False
    if there is not None:
        for gate in there.held:
            if gate not in here.held:
                yield f"calls {name} without approval (gate {gate})", True
        for deny in there.denies:
            if deny not in here.denies:
                yield f"calls {name} where a deny ({deny.grant}) kept it from that", False


def _within(mine: CallGrant, grants: Mapping[str, Grant], other: CallGrant, others: Mapping[str, Grant]) -> bool | None:
    """Return whether one grant admits only calls, and shows only results, that the other does too."""
    first, second = grants.get(mine.grant), others.get(other.grant)
    names = dict.fromkeys((*mine.args, *other.args))
    parts = [_argument_within(matcher_of(mine, name), matcher_of(other, name)) for name in names]
    parts += [_condition_within(mine.items.get(path), matcher) for path, matcher in other.items.items()]
    parts.append(_fields_within(mine, other))
    if first is not None and second is not None:
        parts.append(True if second.when in (None, first.when) else None)
        parts.append(True if limits_within(first.limits, second.limits) else None)
    return all_of(parts)


def _argument_within(mine: Matcher | None, other: Matcher | None) -> bool | None:
    if mine is None:  # never given: the other must not need it
        return True if other is None or isinstance(other, Anything) else None
    return False if other is None else implies(mine, other)


def _condition_within(mine: Matcher | None, other: Matcher) -> bool | None:
    return isinstance(other, Anything) if mine is None else implies(mine, other)


def _fields_within(mine: CallGrant, other: CallGrant) -> bool | None:
    if mine == other or other.whole:
        return True
    if other.fields is not None and (mine.fields is None or not set(mine.fields) <= {*other.fields}):
        return False
    masks = all_of(mask_within(mine.masks.get(path), mask) for path, mask in other.masks.items())
    hidden = other.hidden <= mine.hidden or mine.fields is not None
    return all_of([masks, hidden])
