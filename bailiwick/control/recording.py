"""Test cases from what a ledger recorded: distinct requests, the most frequent first, without a personal value. No I/O.

Written is only what the policy decides again as it was recorded, from what the case says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from bailiwick.control.testing import results_of
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.model.position import NOWHERE
from bailiwick.policy.cases import Case, Plain
from bailiwick.review.asked import CIRCUMSTANCES, UNTOLD, Asked
from bailiwick.review.calls import told_calls
from bailiwick.review.records import Group


def recorded_cases(policy: Policy, lock: Lock, groups: Sequence[Group], most: int) -> tuple[str, int]:
    """Return a file of cases, and how many different requests no case could be made of."""
    written: list[Case] = []
    left = 0
    seen: set[tuple[object, ...]] = set()
    for group in sorted(groups, key=lambda each: (-each.count, each.asked.statement)):
        asked = group.asked
        key = (asked.terms.agent, asked.terms.task, asked.mount, asked.statement, asked.then, asked.code)
        if key in seen or len(written) >= most:
            continue
        seen.add(key)
        case = _case(policy, asked)
        if case is None or next(results_of(policy, lock, [case])).wrong:
            left += 1
        else:
            written.append(case)
    return "".join(["cases:\n" if written else "cases: []\n", *map(_text, written)]), left


def _case(policy: Policy, asked: Asked) -> Case | None:
    terms = asked.terms
    if asked.code in CIRCUMSTANCES or not asked.statement or terms.parent is not None or terms.asked or terms.elevated:
        return None
    expected = {"allow": "allow", "hold": "hold"}.get(asked.then, "deny")
    task = policy.tasks.get(terms.task or "")
    groups = tuple(sorted(task.users.groups))[:1] if task is not None and task.users is not None else ()
    context = {name: f"${name}" for name in sorted(terms.context or ()) if name != "tenant"}
    ask, text, args = "sql", asked.statement, None
    if asked.mount not in policy.mounts:
        calls = told_calls(asked.statement)
        if len(calls) != 1 or calls[0].arguments is None or "/" in calls[0].name:
            return None
        ask, text = "tool", calls[0].name
        args = {name: _kept(name, value, context) for name, value in calls[0].arguments.items()}
    return Case(
        text,
        NOWHERE,
        ask,
        text,
        expected,  # pyright: ignore[reportArgumentType]  # one of the three words
        asked.code if expected == "deny" else "",
        terms.agent,
        terms.task,
        "$user",
        groups,
        {},
        "$tenant",
        context,
        asked.mount or None,
        args,
    )


def _kept(name: str, value: object, context: dict[str, str]) -> Plain:
    """Return an argument as a case may have it: never a person's, so a session value stays its name."""
    if name in context:
        return f"${name}"
    if isinstance(value, str):
        return "text" if value.startswith(UNTOLD) else value
    return value if isinstance(value, bool | int | float) or value is None else "text"


def _text(case: Case) -> str:
    person = "{id: $user, groups: " + json.dumps([*case.groups]) + "}" if case.groups else "$user"
    lines = [f"agent: {_quoted(case.agent)}"]
    lines += [f"task: {_quoted(case.task)}"] if case.task else []
    lines += [f"user: {person}", "tenant: $tenant"]
    if case.context:
        lines.append("context: {" + ", ".join(f"{name}: {value}" for name, value in case.context.items()) + "}")
    lines += [f"mount: {_quoted(case.mount)}"] if case.mount and case.ask == "sql" else []
    lines.append(f"{case.ask}: {_quoted(case.asked)}")
    if case.args is not None:
        lines.append(f"args: {json.dumps(case.args, ensure_ascii=False)}")
    lines.append(f"expect: {{{case.expected}: {case.which}}}" if case.which else f"expect: {case.expected}")
    return "  - " + "\n    ".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
