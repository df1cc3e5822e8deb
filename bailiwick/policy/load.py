"""Policy text → `Policy`: every problem is collected, none is raised, nothing is read from disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from bailiwick.model.email import EmailMount
from bailiwick.model.files import FilesMount
from bailiwick.model.http import HttpMount
from bailiwick.model.policy import Mount, Policy
from bailiwick.model.position import Position
from bailiwick.model.tool import McpMount, PythonMount
from bailiwick.policy import rules
from bailiwick.policy.agents import agent, task
from bailiwick.policy.canonical import digest
from bailiwick.policy.currencies import check_currencies
from bailiwick.policy.document import Block, Entry, Leaf, Node, places, read_document
from bailiwick.policy.expect import block, name_is_good
from bailiwick.policy.grants import role
from bailiwick.policy.mcp import check_tool_names
from bailiwick.policy.mounts import mount
from bailiwick.policy.problem import Problem, Report, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.references import check_references

named_sections = ("mounts", "roles", "agents", "tasks", "gates", "elevations", "flows", "approvers")
"""Sections that map names to things; files of one folder add to them."""
single_sections = ("review", "retention")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of the text. `policy` is None exactly when some problem is an error."""

    policy: Policy | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _Merged:
    """All files' top-level sections in one."""

    named: Mapping[str, Mapping[str, Entry]]
    single: Mapping[str, Entry]
    whole: bool
    """Whether every file could be parsed; otherwise unknown names may stand in one that could not."""


def load(files: Mapping[str, str]) -> Loaded:
    """Read a policy: file name → text, in one or several files that add up.

    Never raises for any text. The result does not depend on the order of the files or of keys.
    """
    reading = Reading()
    merged = _merge(files, reading.report)
    named = merged.named
    every = _section(reading, named["mounts"], "mount", mount)
    mounts = {name: each for name, each in every.items() if isinstance(each, Mount)}
    servers = {name: each for name, each in every.items() if isinstance(each, McpMount)}
    functions = {name: each for name, each in every.items() if isinstance(each, PythonMount)}
    apis = {name: each for name, each in every.items() if isinstance(each, HttpMount)}
    mails = {name: each for name, each in every.items() if isinstance(each, EmailMount)}
    folders = {name: each for name, each in every.items() if isinstance(each, FilesMount)}
    check_tool_names(reading, {**servers, **functions, **apis, **mails, **folders})
    roles = _section(reading, named["roles"], "role", role)
    agents = _section(reading, named["agents"], "agent", agent)
    tasks = _section(reading, named["tasks"], "task", task)
    gates = _section(reading, named["gates"], "gate", rules.gate)
    elevations = _section(reading, named["elevations"], "elevation", rules.elevation)
    flows = _section(reading, named["flows"], "flow", rules.flow)
    approvers = _section(reading, named["approvers"], "approvers", rules.approver_group)
    review, retention = merged.single.get("review"), merged.single.get("retention")
    reviewed = rules.review(reading, review) if review else None
    kept = rules.retention(reading, retention) if retention else None
    if merged.whole:
        check_references(reading, mounts, roles, tasks, {key: found.keys() for key, found in named.items()})
    policy = Policy(
        "",
        mounts,
        roles,
        agents,
        tasks,
        gates,
        elevations,
        flows,
        reviewed,
        kept,
        _places(merged),
        servers,
        functions,
        apis,
        approvers,
        reading.observed,
        mails,
        folders,
    )
    check_currencies(reading.report, policy)
    problems = reading.report.sorted()
    if any(problem.severity == "error" for problem in problems):
        return Loaded(None, problems)
    return Loaded(replace(policy, version=_version_of(policy, reading.digests)), problems)


def _version_of(policy: Policy, digests: Mapping[str, str]) -> str:
    """Return the hash of the whole content. Each grant counts by the hash of its own, which is known already."""
    heads = {
        name: (replace(role, grants=()), tuple((grant.id, digests[grant.id]) for grant in role.grants))
        for name, role in policy.roles.items()
    }
    return digest((replace(policy, roles={}), heads))


def _section(
    reading: Reading, entries: Mapping[str, Entry], what: str, read: Callable[[Reading, Entry], T | None]
) -> dict[str, T]:
    found: dict[str, T] = {}
    for entry in entries.values():
        good = name_is_good(reading.report, entry.key, entry.position, what)
        item = read(reading, entry)
        if good and item is not None:
            found[entry.key] = item
    return found


def _merge(files: Mapping[str, str], report: Report) -> _Merged:
    named: dict[str, dict[str, Entry]] = {section: {} for section in named_sections}
    single: dict[str, Entry] = {}
    whole, versioned = True, False
    first = Position(min(files, default=""), 1, 1)
    for file in sorted(files):
        before = len(report.problems)
        root = read_document(file, files[file], report)
        if root is None:
            whole = whole and len(report.problems) == before
            continue
        found = block(report, root, "a policy", ("bailiwick", *named_sections, *single_sections))
        if found is not None:
            versioned = _check_version(report, found.get("bailiwick")) or versioned
            _add(report, found, named, single)
    if not versioned and whole:
        report.error(first, "missing_key", "the policy has no `bailiwick` version", "start it with `bailiwick: 1`")
    return _Merged(named, single, whole)


def _check_version(report: Report, entry: Entry | None) -> bool:
    """Return whether a version key is there; its value is checked as well."""
    if entry is None:
        return False
    value: Node = entry.value
    if not isinstance(value, Leaf) or value.value != 1 or isinstance(value.value, bool):
        shown = quoted(value.text) if isinstance(value, Leaf) else "something else"
        report.error(entry.position, "bad_version", f"`bailiwick` is {shown} but must be 1", "write `bailiwick: 1`")
    return True


def _add(report: Report, found: Block, named: dict[str, dict[str, Entry]], single: dict[str, Entry]) -> None:
    """Add one file's sections to those read so far, reporting what stands twice."""
    for section, entries in named.items():
        entry = found.get(section)
        if entry is None or (isinstance(entry.value, Leaf) and entry.value.value is None):
            continue  # an empty section (`gates:` with nothing below) says nothing
        inner = block(report, entry.value, quoted(section))
        for item in inner.entries.values() if inner else ():
            _put(report, entries, item, f"{_singular(section)} {quoted(item.key)}")
    for section in single_sections:
        entry = found.get(section)
        if entry is not None:
            _put(report, single, entry, quoted(section))


def _singular(section: str) -> str:
    return section if section == "approvers" else section[:-1]


def _put(report: Report, entries: dict[str, Entry], item: Entry, what: str) -> None:
    first = entries.setdefault(item.key, item)
    if first is not item:
        message = f"{what} stands twice; first in {first.position}"
        report.error(item.position, "duplicate_name", message, "remove or rename one")


def _places(merged: _Merged) -> dict[tuple[str, ...], Position]:
    """Return where every key of the policy stands."""
    found: dict[tuple[str, ...], Position] = {}
    for section, entries in merged.named.items():
        for entry in entries.values():
            found[(section, entry.key)] = entry.position
            found.update(places(entry.value, (section, entry.key)))
    for section, entry in merged.single.items():
        found[(section,)] = entry.position
    return found
