"""Test cases of a policy, decided by policy and lock alone. Nothing is executed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from bailiwick.control.explaining import Question, explained, session_or_denial
from bailiwick.decide.scope import effective_scope
from bailiwick.errors import BailiwickError
from bailiwick.match.in_words import matcher_in_words
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.scope import ResourceScope
from bailiwick.model.value import ValueType
from bailiwick.policy.cases import Case, Plain
from bailiwick.policy.words import conditions_in_words
from bailiwick.sql.snapshot import snapshot

Told = Mapping[str, object]
_some: Mapping[ValueType, str] = {
    "integer": "1",
    "number": "1",
    "string": "text",
    "boolean": "true",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "date": "2026-01-31",
    "timestamp": "2026-01-31T12:00:00+00:00",
}
"""What `$name` in a case stands for: some value of the type of that session value."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case."""

    case: Case
    wrong: tuple[str, ...] = ()
    """What is otherwise than expected, in words; empty: it passed."""
    got: str = ""
    told: Sequence[Told] = ()
    """The explanation, as `bailiwick explain --json` gives it."""


def results_of(policy: Policy, lock: Lock, cases: Sequence[Case]) -> Iterator[CaseResult]:
    """Yield what comes of each case."""
    for case in cases:
        yield _tested(policy, lock, case)


def _tested(policy: Policy, lock: Lock, case: Case) -> CaseResult:
    question = question_of(policy, case)
    opened = session_or_denial(policy, question)
    if isinstance(opened, Denial):
        told: list[Told] = [{"asked": case.asked, "decision": "deny", "denial": {"code": opened.code}}]
        got = f"deny ({opened.code}): the session cannot be opened: {opened.message}"
        fits = case.expected == "deny" and case.which in ("", opened.code)
        return CaseResult(case, () if fits else (f"expected {_expected(case)}",), got, told)
    try:
        found = explained(policy, lock, question, lambda name: snapshot(policy.mounts[name], lock))
    except BailiwickError as error:
        return CaseResult(case, (f"it cannot be decided: {error.message}",), "nothing", ())
    worst = next((each for each in found if each["decision"] != "allow"), found[0])
    decision, which = str(worst["decision"]), _which(worst)
    got = f"{decision} ({which})" if which else decision
    wrong: list[str] = []
    if decision != case.expected or case.which not in ("", which, str(worst.get("gate", ""))):
        wrong.append(f"expected {_expected(case)}")
    if case.masked or case.rows or case.set:
        wrong += _reached(case, effective_scope(policy, lock, opened).resources)
    return CaseResult(case, tuple(wrong), got, found)


def question_of(policy: Policy, case: Case) -> Question:
    """Return what a case asks, with some value for each `$name`."""
    task = policy.tasks.get(case.task or "")
    kinds: dict[str, ValueType] = {}
    if task is not None:
        kinds = {name: rule.type for name, rule in task.context.items()}
    values = {
        name: _some[kinds.get(name, "string")] if _named(value) else value for name, value in case.context.items()
    }
    asked, arguments = case.asked, None
    if case.args is not None:
        given = {name: _filled(value, {**values}, kinds) for name, value in case.args.items()}
        arguments = json.dumps(given)
    elif case.ask == "tool":
        arguments = "{}"
    tenant = "1" if case.tenant is not None and _named(case.tenant) else case.tenant
    return Question(
        asked,
        case.agent,
        case.task,
        "somebody" if case.user is not None and _named(case.user) else case.user,
        case.groups,
        values,
        tenant,
        case.mount,
        arguments,
        case.claims,
    )


def _named(value: str) -> bool:
    return value.startswith("$") and not value.startswith("$$")


def _filled(value: Plain, values: Mapping[str, str], kinds: Mapping[str, ValueType]) -> Plain:
    """Return an argument with the session's value in the place of `$name`."""
    if not isinstance(value, str) or not _named(value):
        return value
    text = values.get(value[1:], "1")
    return int(text) if kinds.get(value[1:]) == "integer" else text


def _expected(case: Case) -> str:
    return f"{case.expected} ({case.which})" if case.which else case.expected


def _which(told: Told) -> str:
    if told["decision"] == "hold":
        return str(told.get("gate", ""))
    denial = cast("Mapping[str, str]", told.get("denial", {}))
    return denial.get("code", "")


def _reached(case: Case, resources: Mapping[str, ResourceScope]) -> Iterator[str]:
    """Yield what of rows, masks and values is otherwise than expected."""
    for name, fields in case.masked.items():
        scope = resources.get(name)
        for field, mask in fields.items():
            masks = [] if scope is None else [read.fields[field] for read in scope.reads if field in read.fields]
            shown = sorted({"in clear" if each is None else each.name for each in masks}) or ["not shown"]
            if shown in (["in clear"], ["not shown"]) or "in clear" in shown or mask not in ("", *shown):
                yield f"expected {name}.{field} masked{f' ({mask})' if mask else ''}, got {', '.join(shown)}"
    for name, words in case.rows.items():
        got = rows_of(resources.get(name))
        if " ".join(words.split()) != got:
            yield f"expected rows of {name}: {words}; got: {got}"
    for name, fields in case.set.items():
        scope = resources.get(name)
        for field, words in fields.items():
            writes = () if scope is None else (*scope.updates, *scope.creates)
            bounds = [each.set.get(field) for each in writes if field in each.fields]
            told = sorted({"anything" if each is None else matcher_in_words(field, each) for each in bounds})
            if " ".join(words.split()) != " or ".join(told):
                yield f"expected {name}.{field} set: {words}; got: {' or '.join(told) or 'not written'}"


def rows_of(scope: ResourceScope | None) -> str:
    """Return which rows of a resource are read, in words."""
    if scope is None or not scope.reads:
        return "none"
    told = (
        conditions_in_words(each.filter) if each.filter.conditions or each.filter.sql else "all" for each in scope.reads
    )
    return " or ".join(dict.fromkeys(told))


def as_json(found: CaseResult) -> dict[str, object]:
    """Return what came of a case, as programs read it."""
    case = found.case
    return {
        "name": case.name,
        "at": f"{case.position.file}:{case.position.line}",
        "passed": not found.wrong,
        "expected": _expected(case),
        "got": found.got,
        "wrong": [*found.wrong],
        "explained": [*found.told],
    }


def junit(suite: str, found: Sequence[CaseResult]) -> str:
    """Return a report in the XML of JUnit."""
    from xml.etree import ElementTree as Xml

    failures = sum(1 for each in found if each.wrong)
    root = Xml.Element("testsuites")
    attributes = {"name": suite, "tests": str(len(found)), "failures": str(failures)}
    top = Xml.SubElement(root, "testsuite", attributes)
    for each in found:
        at = each.case.position
        one = Xml.SubElement(top, "testcase", {"name": _sound(each.case.name), "classname": f"{at.file}:{at.line}"})
        if each.wrong:
            told = f"{'; '.join(each.wrong)}\ngot {each.got}\n{json.dumps([*each.told], indent=2)}"
            Xml.SubElement(one, "failure", {"message": _sound(each.wrong[0])}).text = _sound(told)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _sound(text: str) -> str:
    """Return a text without what XML cannot carry."""
    return "".join(c if c >= " " or c in "\t\n" else "\ufffd" for c in text)
