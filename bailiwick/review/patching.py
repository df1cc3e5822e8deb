"""From decisions to a patch of the policy's files. Pure: texts in, texts out; nothing else in them changes.

INVARIANT: a patch holds what was decided and nothing more. What cannot be put into it by itself is named, with why.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.errors import PolicyError
from bailiwick.model.policy import Gate, Grant, Policy
from bailiwick.model.review import Line, Review
from bailiwick.policy.canonical import digest
from bailiwick.policy.editing import Drop, Edit, Put, edited
from bailiwick.policy.load import Loaded, load

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patch:
    """What the decisions of a review change of a policy's files."""

    text: str
    """For `git apply` or `patch -p1` in the policy's folder; empty: nothing changes."""
    files: Mapping[str, str]
    """The files as they are with it."""
    left: Mapping[str, str]
    """Line → why people have to change it by hand."""


@dataclass(frozen=True, slots=True)
class _Change:
    """The edits that belong together, for these lines."""

    lines: tuple[str, ...]
    file: str
    edits: tuple[Edit, ...]


def patch_of(files: Mapping[str, str], review: Review) -> Patch:
    """Return the patch. Raises PolicyError when the files are no policy."""
    loaded = load(files)
    if loaded.policy is None:
        raise PolicyError("the policy's files have mistakes", remedy="`bailiwick policy check` lists them")
    left: dict[str, str] = {}
    changes = [*_Changes(loaded.policy, review, left).all()]
    sound: list[_Change] = []
    for change in changes:
        why = _wrong(files, (change,))
        if why:
            left.update(dict.fromkeys(change.lines, why))
        else:
            sound.append(change)
    while sound and (why := _wrong(files, sound)):  # each is fine, and together they are not
        last = sound.pop()
        left.update(dict.fromkeys(last.lines, f"together with the others: {why}"))
    after = _with(files, sound)
    return Patch("".join(_diff(name, files[name], after[name]) for name in sorted(files)), after, left)


def _wrong(files: Mapping[str, str], changes: Sequence[_Change]) -> str:
    try:
        after: Loaded = load(_with(files, changes))
    except PolicyError as error:
        return error.message
    errors = [each for each in after.problems if each.severity == "error"]
    return f"then {errors[0].message}" if errors else ""


def _with(files: Mapping[str, str], changes: Sequence[_Change]) -> dict[str, str]:
    found = dict(files)
    for name in dict.fromkeys(change.file for change in changes):
        found[name] = edited(files[name], [edit for each in changes if each.file == name for edit in each.edits])
    return found


def _diff(name: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(_lines(old), _lines(new), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    found = text.split("\n")
    return [*(f"{line}\n" for line in found[:-1]), *([found[-1]] if found[-1] else [])]


class _Changes:
    """Makes the edits of a review's decisions."""

    def __init__(self, policy: Policy, review: Review, left: dict[str, str]) -> None:
        self._policy = policy
        self._review = review
        self._left = left
        self._places = {
            grant.id: (("roles", role.name, "grants", str(place)), grant)
            for role in policy.roles.values()
            for place, grant in enumerate(role.grants)
        }

    def all(self) -> Iterator[_Change]:
        """Yield them, and note what cannot be done."""
        of_grants: dict[str, list[Line]] = {}
        for line in self._review.lines:
            if line.kind in ("grant", "field", "mask"):
                of_grants.setdefault(line.of, []).append(line)
        for lines in of_grants.values():
            yield from self._grant(lines)
        yield from self._gates([line for line in self._revoked() if line.kind == "gate"])
        yield from self._elevations([line for line in self._revoked() if line.kind == "elevation"])

    def _revoked(self) -> list[Line]:
        return [line for line in self._review.lines if self._review.verdict(line) == "revoke"]

    def _file(self, path: Path) -> str:
        return self._policy.positions[path[:2]].file

    def _not(self, lines: Sequence[Line], why: str) -> None:
        self._left.update({line.id: why for line in lines})

    def _grant(self, lines: Sequence[Line]) -> Iterator[_Change]:
        head, parts = lines[0], lines[1:]
        verdicts = {line.id: self._review.verdict(line) for line in lines}
        changing = [line for line in lines if verdicts[line.id] in ("narrow", "revoke")]
        if not changing:
            return
        place = self._places.get(head.subject)
        if place is None or digest(place[1]) != head.content:
            self._not(changing, "the policy has another grant there than the review had")
            return
        path, grant = place
        if verdicts[head.id] == "revoke":
            if grant.override:
                self._not(changing, "it replaces what its role inherits, which would come back")
                return
            yield _Change(tuple(line.id for line in lines), self._file(path), (Drop(path),))
            return
        kept = self._kept(grant, head, parts)
        if kept == () and grant.fields is not None:
            self._not(changing, "no field would be left: revoke the grant itself")
            return
        masked = self._masked(grant, parts, kept)
        edits = tuple(_of_fields(path, grant, kept, masked, self._policy))
        if edits:
            yield _Change(tuple(line.id for line in changing), self._file(path), edits)

    def _kept(self, grant: Grant, head: Line, parts: Sequence[Line]) -> tuple[str, ...] | None:
        """Return the fields that are left to the grant; None: it names none, and goes on so."""
        given = head.narrow.get("fields")
        narrowed = self._review.verdict(head) == "narrow"
        if grant.fields is None and not (narrowed and isinstance(given, tuple)):
            return None
        named = [each for each in given if isinstance(each, str)] if narrowed and isinstance(given, tuple) else None
        left = dict.fromkeys(named if named is not None else grant.fields or ())
        for line in parts:
            name = _field_of(line)
            own = self._review.decisions.get(line.id)
            if own is not None and own.verdict == "revoke":
                left.pop(name, None)
            elif own is not None and own.verdict in ("keep", "narrow") and name in (grant.fields or ()):
                left[name] = None
        order = grant.fields if grant.fields is not None else tuple(left)
        return tuple(name for name in order if name in left)

    def _masked(self, grant: Grant, parts: Sequence[Line], kept: tuple[str, ...] | None) -> list[str]:
        """Return the fields that stay and are masked from now on."""
        wanted = [line for line in parts if line.kind == "mask" and self._review.verdict(line) == "narrow"]
        there = _expanded(self._policy, grant, kept or ())
        return [name for line in wanted if (name := _field_of(line)) in there]

    def _gates(self, lines: Sequence[Line]) -> Iterator[_Change]:
        for name, gate in self._policy.gates.items():
            mine = [line for line in lines if line.subject.startswith(f"gate {name} ")]
            gone = {line.subject.removeprefix(f"gate {name} ") for line in mine}
            places = [place for place, action in enumerate(gate.loosen) if str(action) in gone]
            if places:
                path = ("gates", name)
                edits = tuple(_of_gate(path, gate, places, self._policy))
                yield _Change(tuple(line.id for line in mine), self._file(path), edits)
        known = {f"gate {name} {action}" for name, gate in self._policy.gates.items() for action in gate.loosen}
        self._not([line for line in lines if line.subject not in known], "the gate does not say so any more")

    def _elevations(self, lines: Sequence[Line]) -> Iterator[_Change]:
        for name, rule in self._policy.elevations.items():
            mine = [line for line in lines if line.subject in {f"elevation {name} {agent}" for agent in rule.agents}]
            gone = {agent for line in mine for agent in line.agents}
            if not gone:
                continue
            path = ("elevations", name)
            places = [place for place, agent in enumerate(rule.agents) if agent in gone]
            whole = len(places) == len(rule.agents)
            edits = (Drop(path),) if whole else tuple(Drop((*path, "for", str(place))) for place in places)
            yield _Change(tuple(line.id for line in mine), self._file(path), edits)
        known = {f"elevation {name} {agent}" for name, rule in self._policy.elevations.items() for agent in rule.agents}
        self._not([line for line in lines if line.subject not in known], "there is no such elevation any more")


def _field_of(line: Line) -> str:
    """Return the field that a line of kind `field` or `mask` is about."""
    return line.text.partition("`")[2].partition("`")[0]


def _expanded(policy: Policy, grant: Grant, names: Sequence[str]) -> tuple[str, ...]:
    resource = policy.resource(grant.action.resource)
    groups: Mapping[str, tuple[str, ...]] = resource.groups if resource is not None else {}
    return tuple(dict.fromkeys(column for name in names for column in groups.get(name, (name,))))


def _of_fields(
    path: Path, grant: Grant, kept: tuple[str, ...] | None, masked: Sequence[str], policy: Policy
) -> Iterator[Edit]:
    """Yield the edits that leave a grant these fields, with masks on some, and nothing said of fields that are gone."""
    gone_masks: list[str] = []
    if kept is not None and kept != grant.fields:
        if grant.fields is None:
            yield Put((*path, "fields"), kept)
        else:
            yield from (Drop((*path, "fields", str(at))) for at, name in enumerate(grant.fields) if name not in kept)
        left = _expanded(policy, grant, kept)
        gone_masks = [name for name in grant.mask if name not in left]
        yield from _without(path, "set", list(grant.set), [name for name in grant.set if name not in left])
    if masked and len(gone_masks) == len(grant.mask):
        yield Put((*path, "mask"), dict.fromkeys(masked, "full"))
    else:
        yield from _without(path, "mask", list(grant.mask), gone_masks)
        yield from (Put((*path, "mask", name), "full") for name in masked)


def _without(path: Path, key: str, names: Sequence[str], gone: Sequence[str]) -> Iterator[Edit]:
    """Yield the edits that take entries out of a mapping; the mapping itself, when nothing is left."""
    if gone and len(gone) == len(names):
        yield Drop((*path, key))
    else:
        yield from (Drop((*path, key, name)) for name in gone)


def _of_gate(path: Path, gate: Gate, places: Sequence[int], policy: Policy) -> Iterator[Edit]:
    """Yield the edits after which a built-in gate holds again what it did not."""
    if len(places) < len(gate.loosen):
        yield from (Drop((*path, "loosen", str(place))) for place in places)
        return
    keys = {found[2] for found in policy.positions if found[:2] == path and len(found) > 2}
    if keys <= {"loosen", "reason"}:
        yield Drop(path)
        return
    yield Drop((*path, "loosen"))
    if "args" not in keys:
        yield Drop((*path, "reason"))
