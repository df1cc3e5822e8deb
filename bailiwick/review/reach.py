"""What of an answer is left under another policy: rows, fields and masks of what a request reached. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bailiwick.match.evaluate import all_of, any_of
from bailiwick.match.implies import filter_implies, implies
from bailiwick.model.decision import Access
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Matcher
from bailiwick.model.position import NOWHERE
from bailiwick.model.scope import (
    CallGrant,
    DenyRows,
    ReadGrant,
    ResourceScope,
    RowFilter,
    Scope,
    ToolScope,
    WriteGrant,
)
from bailiwick.policy.covers import denied_still, mask_within
from bailiwick.review.touched import Touched, met_by, written_by

EffectKind = Literal["denied", "masked", "narrowed", "widened", "unknown"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What happens to what a request reaches."""

    kind: EffectKind
    words: str


def same_resource(old: ResourceScope | None, new: ResourceScope | None) -> bool:
    """Return whether two scopes of a resource are the same, wherever they stand in their files."""
    if old is None or new is None:
        return old is new
    return _placeless(old) == _placeless(new)


def same_tool(old: ToolScope | None, new: ToolScope | None) -> bool:
    """Return whether two scopes of a tool are the same, wherever they stand in their files."""
    if old is None or new is None:
        return old is new
    first, second = (
        replace(each, tool=replace(each.tool, position=NOWHERE), resource=replace(each.resource, position=NOWHERE))
        for each in (old, new)
    )
    return first == second


def same_grants(old: Scope, new: Scope, ids: Sequence[str]) -> bool:
    """Return whether these grants say the same, their limits too."""
    for each in ids:
        mine, other = old.grants.get(each), new.grants.get(each)
        if mine is None or other is None:
            return False
        if replace(mine, position=NOWHERE, reason="") != replace(other, position=NOWHERE, reason=""):
            return False
    return True


def same_mount(old: Scope, new: Scope, mount: str) -> bool:
    """Return whether two scopes reach the same of a mount's data."""
    names = {name for each in (old, new) for name, one in each.resources.items() if one.resource.mount == mount}
    return all(same_resource(old.resources.get(name), new.resources.get(name)) for name in names)


def _placeless(scope: ResourceScope) -> ResourceScope:
    return replace(scope, resource=replace(scope.resource, position=NOWHERE))


def data_effects(
    old: Scope, new: Scope, accesses: Iterable[Access], touched: Sequence[Touched] = ()
) -> tuple[Effect, ...]:
    """Return what happens to data that both allow to be reached. `touched`: what is on record of the very rows."""
    found: dict[Effect, None] = {}
    for access in accesses:
        before, after = old.resources.get(access.resource), new.resources.get(access.resource)
        if before is None or after is None or same_resource(before, after):
            continue
        for effect in _of_access(access, before, after, touched):
            found[effect] = None
    return tuple(found)


def _of_access(access: Access, old: ResourceScope, new: ResourceScope, touched: Sequence[Touched]) -> Iterator[Effect]:
    name = access.resource
    places = [(each.resource.mount, each.resource.schema, each.resource.table) for each in (old, new)]
    if places[0] != places[1]:
        yield Effect("unknown", f"{name} is another table")
        return
    if old.resource.tenant != new.resource.tenant:
        kind: EffectKind = "narrowed" if new.resource.tenant is not None else "widened"
        yield Effect(
            kind, f"{name}: rows of the session's tenant only" if kind == "narrowed" else f"{name}: all tenants"
        )
    if access.verb in ("read", "aggregate"):
        met = met_by(touched, name, access.verb)
        yield from _of_reads(name, access.fields, _reads(access.verb, old), _reads(access.verb, new), met)
    else:
        yield from _of_writes(access, _writes(access.verb, old), _writes(access.verb, new), touched)
    if not all(any(_still(deny, other) for other in old.denied_rows) for deny in new.denied_rows):
        yield Effect("narrowed", f"{name}: a deny takes rows away")
    if not all(any(_still(deny, other) for other in new.denied_rows) for deny in old.denied_rows):
        yield Effect("widened", f"{name}: a deny of rows is gone")


def _still(deny: DenyRows, other: DenyRows) -> bool:
    return denied_still(deny, (other,)) is True


def _reads(verb: str, scope: ResourceScope) -> Sequence[ReadGrant]:
    if verb == "read":
        return scope.reads
    return () if scope.aggregate is None else scope.aggregate.grants


def _writes(verb: str, scope: ResourceScope) -> Sequence[WriteGrant]:
    return {"update": scope.updates, "create": scope.creates}.get(verb, scope.deletes)


def _of_reads(
    name: str,
    fields: Sequence[str],
    old: Sequence[ReadGrant],
    new: Sequence[ReadGrant],
    met: Sequence[RowFilter],
) -> Iterator[Effect]:
    used = fields or tuple(dict.fromkeys(each for read in old for each in read.fields))
    masked = [each for each in used if _shown(old, each) and not _as_clear(old, new, each)]
    clearer = [each for each in used if _shown(new, each) and _shown(old, each) and not _as_clear(new, old, each)]
    gone = [each for each in used if _shown(old, each) and not _shown(new, each)]
    if masked := [each for each in masked if each not in gone]:
        yield Effect("masked", f"{name}: {_names(masked)} {_masks(new, masked[0])}")
    if gone:
        yield Effect("masked", f"{name}: {_names(gone)} no longer shown")
    if clearer:
        yield Effect("widened", f"{name}: {_names(clearer)} shown in clear, or more of it")
    yield from _of_rows(name, [each.filter for each in old], [each.filter for each in new], met)


def _of_rows(
    what: str, old: Sequence[RowFilter], new: Sequence[RowFilter], met: Sequence[RowFilter]
) -> Iterator[Effect]:
    """Tell what becomes of rows of which each met one of `met` anyway."""
    if not _within(_both(old, met), new):
        yield Effect("narrowed", f"{what}: rows")
    elif not _within(_both(new, met), old):
        yield Effect("widened", f"{what}: rows")


def _both(filters: Sequence[RowFilter], met: Sequence[RowFilter]) -> list[RowFilter]:
    return [replace(each, conditions=(*each.conditions, *more.conditions)) for each in filters for more in met]


def _of_writes(
    access: Access, old: Sequence[WriteGrant], new: Sequence[WriteGrant], touched: Sequence[Touched]
) -> Iterator[Effect]:
    what = f"{access.resource}:{access.verb}"
    met = met_by(touched, access.resource, access.verb)
    yield from _of_rows(what, [each.filter for each in old], [each.filter for each in new], met)
    for field in access.fields:
        before = [each.set.get(field) for each in old if field in each.fields]
        after = [each.set.get(field) for each in new if field in each.fields]
        if None in after or not before:
            continue
        wide = [each for each in after if each is not None]
        written = written_by(touched, access.resource, access.verb, field)
        values = before if written is None else written
        known = all_of(None if mine is None else any_of(implies(mine, each) for each in wide) for mine in values)
        if known is False and written is not None:
            yield Effect("denied", f"{what}: `set` does not admit what was written into {field}")
        elif known is not True:
            yield Effect("unknown", f"{what}: `set` asks for values of {field} that are not recorded")


def _shown(reads: Sequence[ReadGrant], field: str) -> bool:
    return any(field in each.fields for each in reads)


def _as_clear(mine: Sequence[ReadGrant], others: Sequence[ReadGrant], field: str) -> bool:
    """Return whether others show a field at least as clearly, wherever they show it."""
    masks = [each.fields[field] for each in others if field in each.fields]
    return all(
        any(mask_within(each.fields[field], mask) is True for mask in masks) for each in mine if field in each.fields
    )


def _masks(reads: Sequence[ReadGrant], field: str) -> str:
    masks: dict[str, None] = {}
    for each in reads:
        mask: Mask | None = each.fields.get(field)
        if mask is not None:
            masks[mask.name] = None
    return f"masked ({', '.join(masks)})" if masks else "masked"


def _within(mine: Sequence[RowFilter], others: Sequence[RowFilter]) -> bool:
    """Return whether all rows that some of mine admits are known to be admitted by one of the others."""
    return all(any(filter_implies(each, other) is True for other in others) for each in mine)


def _names(found: Sequence[str]) -> str:
    more = f" and {len(found) - 6} more" if len(found) > 6 else ""
    return ", ".join(found[:6]) + more


def call_effects(name: str, old: Sequence[CallGrant], new: Sequence[CallGrant]) -> tuple[Effect, ...]:
    """Return what happens to the result of a call that both admit, by the grants that do."""
    found: dict[Effect, None] = {}
    for kind, mine, others in (("less", old, new), ("more", new, old)):
        for each in mine:
            if any(_shows(each, other) is True for other in others):
                continue
            if kind == "more":
                found[Effect("widened", f"{name}: more of its result")] = None
                continue
            items = any(_items(each.items, other.items) is True for other in others)
            less = Effect("masked", "fields") if items else Effect("narrowed", "items")
            found[Effect(less.kind, f"{name}: {less.words} of its result")] = None
    return tuple(found)


def _shows(mine: CallGrant, other: CallGrant) -> bool | None:
    """Return whether the other grant shows all that mine does."""
    parts = [_items(mine.items, other.items)]
    parts.append(other.fields is None or (mine.fields is not None and {*mine.fields} <= {*other.fields}))
    parts.append(other.hidden <= mine.hidden or (mine.fields is not None and not other.hidden & {*mine.fields}))
    parts += [mask_within(mine.masks.get(path), mask) for path, mask in other.masks.items()]
    return all_of(parts)


def _items(mine: Mapping[str, Matcher], others: Mapping[str, Matcher]) -> bool | None:
    return all_of(path in mine and implies(mine[path], matcher) for path, matcher in others.items())
