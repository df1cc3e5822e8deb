"""What the desk answers about the policy in force: what it makes of a question, what agents may, what would change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import cast

from bailiwick.control.explaining import Question, explained
from bailiwick.errors import ConfigError, PolicyError, ProtocolError
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.run import Running
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy
from bailiwick.policy.diff import diff, widened
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import parse_lock
from bailiwick.policy.matrix import matrix
from bailiwick.policy.matrix_formats import render
from bailiwick.policy.problem import Problem
from bailiwick.policy.validate import check_against_lock
from bailiwick.sql.snapshot import snapshot

_largest = 192 * 1024
"""Characters of a policy and its lock that somebody sends; the body of a request is not much larger."""


def policy_answers(running: Callable[[], Running | None]) -> Mapping[str, Answer]:
    """Return the requests, for as long as something runs."""

    def force() -> tuple[Policy, Lock]:
        found = running()
        if found is None:
            raise ConfigError("the gateway is starting", remedy="try again")
        return found.sessions.force.policy, found.sessions.force.lock

    async def explain(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        question = _question(fields)
        fields.done()
        policy, lock = force()
        found = await asyncio.to_thread(
            explained, policy, lock, question, lambda name: snapshot(policy.mounts[name], lock)
        )
        return {"explained": cast("Json", found)}

    async def may(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        names = {name: fields.maybe_text(name) for name in ("agent", "task", "resource")}
        fields.done()
        policy, lock = force()
        _known(policy, names)
        found = matrix(policy, lock, agent=names["agent"], task=names["task"], resource=names["resource"])
        return {"matrix": cast("Json", json.loads(render(found, "json")))}

    async def check(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        files, text = sent(fields)
        fields.done()
        _, problems, _ = await asyncio.to_thread(loaded, files, text)
        return {"problems": [_problem(each) for each in problems], "ok": not _errors(problems)}

    async def compare(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        files, text = sent(fields)
        fields.done()
        new, problems, new_lock = await asyncio.to_thread(loaded, files, text)
        if new is None or _errors(problems):
            return {"problems": [_problem(each) for each in problems], "changes": [], "widened": False}
        policy, lock = force()
        changes = await asyncio.to_thread(diff, policy, new, lock, new_lock or lock)
        told = [cast("Json", asdict(each)) for each in changes]
        return {"problems": [], "changes": told, "widened": widened(changes)}

    return {"policy.explain": explain, "policy.matrix": may, "policy.check": check, "policy.diff": compare}


def _question(fields: Fields) -> Question:
    return Question(
        asked=fields.text("asked"),
        agent=fields.text("agent"),
        task=fields.maybe_text("task"),
        user=fields.maybe_text("user"),
        groups=fields.texts("groups"),
        values=fields.named("values"),
        tenant=fields.maybe_text("tenant"),
        mount=fields.maybe_text("mount"),
        arguments=fields.maybe_text("args"),
    )


def _known(policy: Policy, names: Mapping[str, str | None]) -> None:
    """Raise ProtocolError for a name that the policy does not have: an empty matrix would look like an answer."""
    every = (*policy.mounts.values(), *policy.tool_mounts.values())
    known = {
        "agent": policy.agents,
        "task": policy.tasks,
        "resource": [name for each in every for name in each.resources],
    }
    for what, name in names.items():
        if name is not None and name not in known[what]:
            raise PolicyError(f"the policy has no {what} `{name[:100]}`")
    agent, task = names["agent"], names["task"]
    if agent is not None and task is not None and agent not in policy.tasks[task].agents:
        raise PolicyError(f"task `{task}` is not one of agent `{agent}`", remedy="name another agent or task")


def sent(fields: Fields) -> tuple[dict[str, str], str | None]:
    """Return the files of a policy, and its lock. Raises ProtocolError."""
    files, lock = fields.mapping("files"), fields.value("lock")
    texts = [*files.values(), "" if lock is None else lock]
    if not files or not all(isinstance(each, str) for each in texts):
        raise ProtocolError("`files` is not a mapping of names to texts, or `lock` no text")
    if sum(len(str(each)) for each in texts) > _largest:
        raise ProtocolError(f"the policy and its lock are longer than {_largest} characters")
    return {name: str(text) for name, text in files.items()}, None if lock is None else str(lock)


def loaded(files: Mapping[str, str], text: str | None) -> tuple[Policy | None, tuple[Problem, ...], Lock | None]:
    """Return a policy that somebody sent, what is wrong with it, and its lock. Raises PolicyError."""
    read = load(files)
    lock = None if text is None else parse_lock(text)
    problems = tuple(read.problems)
    if read.policy is not None and lock is not None:
        problems = (*problems, *check_against_lock(read.policy, lock))
    return read.policy, problems, lock


def _errors(problems: tuple[Problem, ...]) -> bool:
    return any(each.severity == "error" for each in problems)


def _problem(problem: Problem) -> dict[str, Json]:
    at = problem.position
    told: dict[str, Json] = {"file": at.file, "line": at.line, "column": at.column, "severity": problem.severity}
    return told | {"code": problem.code, "message": problem.message, "suggestion": problem.suggestion}
