"""Our own attacks, by the classes of what an enforcing rewriter must get right, each with its allowed twin."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NotRequired, TypedDict, cast

import pytest

from tests.support.canary import PATTERN, leaks_in, leaks_in_files
from tests.support.corpus import ROLES, Case, Target, Watch, explain, judge, run, transports
from tests.support.gateway import running_gateway
from tests.support.postgres import Server

FOLDER = Path(__file__).parent / "attacks"


class Attack(TypedDict):
    id: str
    attack: str | list[str]
    twin: str | list[str]
    must: NotRequired[Literal["deny", "no_leak"]]
    leak: NotRequired[str]
    changes: NotRequired[bool]
    """The attack may change rows of the scope (a `no_leak` that is a legitimate write)."""


ATTACKS = [cast(Attack, json.loads(line)) for line in (FOLDER / "attacks.jsonl").read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Stage:
    target: Target
    watch: Watch


@pytest.fixture(scope="module")
def stage(postgres: Server) -> Iterator[Stage]:
    """A gateway before a support desk, with the session of one case; at the end nothing may be in its files."""
    script = (FOLDER / "fixture.sql").read_text()
    upstream = postgres.create(script, ROLES)
    watch = Watch(upstream, script, ROLES)
    with running_gateway((FOLDER / "policy.yaml").read_text(), {"DESK_URL": upstream.url("gw", "gw")}) as gateway:
        values = {"case_id": "700", "person_id": "70"}
        opened = gateway.open_session("desk-bot", task="handle-case", tenant="7", values=values)
        yield Stage(Target(gateway.port, opened.user, opened.database, opened.token, upstream), watch)
        watch.close()
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


def _case(attack: Attack, sql: str | list[str], must: Literal["deny", "no_leak", "allow"]) -> Case:
    case = Case(id=attack["id"], must=must, leak_regex=attack.get("leak", PATTERN))
    if isinstance(sql, str):
        case["sql"] = sql
    else:
        case["steps"] = sql
    return case


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack["id"] for attack in ATTACKS])
def test_attack_fails(attack: Attack, stage: Stage) -> None:
    case = _case(attack, attack["attack"], attack.get("must", "deny"))
    for transport in transports(case):
        replies = run(case, transport, stage.target)
        changed = stage.watch.changed()
        assert judge(case, replies) == "", f"{transport}\n{explain(replies)}"
        assert leaks_in(text for reply in replies for text in reply.texts()) == [], transport
        assert not changed or attack.get("changes", False), f"{transport}: the database changed\n{explain(replies)}"


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack["id"] for attack in ATTACKS])
def test_twin_succeeds(attack: Attack, stage: Stage) -> None:
    case = _case(attack, attack["twin"], "allow")
    del case["leak_regex"]
    for transport in transports(case):
        replies = run(case, transport, stage.target)
        stage.watch.changed()
        assert judge(case, replies) == "", f"{transport}\n{explain(replies)}"


def test_there_are_enough_attacks_and_no_two_are_the_same() -> None:
    texts = {json.dumps(attack["attack"]) for attack in ATTACKS}
    assert len(texts) == len(ATTACKS) >= 150
