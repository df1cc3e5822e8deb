"""Every case of the corpus, through the whole gateway, under both forms of the row filter, on every transport.

The newest PostgreSQL runs everything; the oldest everything but what runs into a limit (the limits are the gateway's,
and waiting for them takes long) under the harder form; those between a part of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import yaml

from tests.support.canary import leaks_in_files
from tests.support.corpus import FOLDER, ROLES, Case, Target, Watch, cases, check, explain, judge, run, transports
from tests.support.gateway import running_gateway
from tests.support.installed import versions
from tests.support.postgres import Server

FORMS = ("constant", "subquery")
CASES = cases()
_listed = cast(dict[str, dict[str, str]], yaml.safe_load((FOLDER / "deviations.yaml").read_text()))
DEVIATIONS = {name: verdict for verdict, entries in _listed.items() for name in entries}
ENDING = [case for case in CASES if case.get("category") != "resource"]


@dataclass(frozen=True, slots=True)
class Stage:
    targets: dict[str, Target]
    watch: Watch


LIMITS = "limits: {statement_time: 3s, result: 1MiB}"
"""Limits that the cases without end reach soon."""


def _stage(postgres: Server) -> Iterator[Stage]:
    script = (FOLDER / "fixture.sql").read_text()
    upstream = postgres.create(script, ROLES)
    watch = Watch(upstream, script, ROLES)
    with running_gateway(
        (FOLDER / "policy.yaml").read_text(), {"CORPUS_URL": upstream.url("gw", "gw")}, LIMITS
    ) as gateway:
        opened = {form: gateway.open_session(f"{form}-bot") for form in FORMS}
        yield Stage({k: Target(gateway.port, v.user, v.database, v.token, upstream) for k, v in opened.items()}, watch)
        watch.close()
        gateway.flush()
        assert leaks_in_files(gateway.folder) == []


@pytest.fixture(scope="module")
def stage(postgres: Server) -> Iterator[Stage]:
    """A gateway before the corpus' data, with a session of each form; at the end nothing may be in its files."""
    yield from _stage(postgres)


@pytest.fixture(scope="module")
def older(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Stage]:
    """The same before an older PostgreSQL."""
    yield from _stage(servers(request.param))


def _holds(case: Case, target: Target, watch: Watch) -> None:
    for transport in transports(case):
        replies = run(case, transport, target)
        verdict = judge(case, replies)
        wrong = check(case, target.upstream)
        changed = watch.changed()
        if changed and case["must"] == "deny":
            wrong = wrong or "a denied statement changed the database"
        assert not wrong, f"{transport}: {wrong}\n{explain(replies)}"
        expected = DEVIATIONS.get(case["id"], "")
        assert verdict == expected, f"{transport}: {verdict or 'as demanded'} (known: {expected})\n{explain(replies)}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_corpus_case(case: Case, form: str, stage: Stage) -> None:
    _holds(case, stage.targets[form], stage.watch)


@pytest.mark.parametrize("older", versions("corpus", 15), indirect=True)
@pytest.mark.parametrize("case", ENDING, ids=[case["id"] for case in ENDING])
def test_corpus_case_on_the_oldest_version(case: Case, older: Stage) -> None:
    _holds(case, older.targets["subquery"], older.watch)


@pytest.mark.parametrize("older", versions("corpus", 16, 17), indirect=True)
@pytest.mark.parametrize("case", ENDING[::6], ids=[case["id"] for case in ENDING[::6]])
def test_corpus_case_on_the_versions_between(case: Case, older: Stage) -> None:
    _holds(case, older.targets["subquery"], older.watch)


def test_known_deviations_have_reasons_and_cases() -> None:
    reasons = {name: reason for entries in _listed.values() for name, reason in entries.items()}
    assert set(_listed) == {"answered", "endless", "refused"}
    assert set(reasons) <= {case["id"] for case in CASES}
    assert all(len(reason) > 20 for reason in reasons.values())
