"""PostgreSQL's own regression files on row security and privileges, with a gateway beside the direct connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.regress.regress_differences import COLUMNS, counted, documented, known
from tests.regress.regress_rig import Report, regression
from tests.regress.regress_script import expected
from tests.support.installed import NEWEST, installations
from tests.support.postgres import running_server

EVERY = os.environ.get("BAILIWICK_REGRESS") == "every"
"""`make nightly`: on the newest version too, for which PostgreSQL 15's file of row security is right as well."""
SETTINGS = {"log_min_messages": "notice", "log_line_prefix": "%u|"}
TRIED = {"rowsecurity": 310, "privileges": 294}
"""Statements of ordinary users that read or write."""
OTHERS = {"rowsecurity": 329, "privileges": 268}
"""Statements of ordinary users that no agent may send."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a file on a version."""

    name: str
    version: int
    report: Report


def _runs() -> Iterator[object]:
    for run in COLUMNS:
        name, version = run.rsplit("-", 1)
        if int(version) in installations() and (int(version) != NEWEST or EVERY):
            yield pytest.param((name, int(version)), marks=pytest.mark.xdist_group(f"regress-{run}"), id=run)


@pytest.fixture(scope="module", params=[*_runs()])
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    name, version = request.param
    with running_server(SETTINGS, None if version == NEWEST else version) as server, regression(server, name) as report:
        yield Played(name, version, report)


def test_the_file_runs_as_postgresql_runs_it(played: Played) -> None:
    if played.name == "privileges":  # the other one shows samples, which depend on where rows lie: writes move them
        assert played.report.said == expected(played.name)
    assert len(played.report.tried) == TRIED[played.name]


def test_every_difference_is_a_known_one(played: Played) -> None:
    counts, unknown = counted(played.report.tried)
    assert unknown == [], "\n\n".join(map(str, unknown[:5]))
    assert counts == documented()[f"{played.name}-{played.version}"]


def test_no_function_is_called_over_a_value_that_the_user_may_not_read(played: Played) -> None:
    assert [each for each in played.report.tried if each.kind == "leaked"] == []
    if played.name == "rowsecurity":  # else the file has no such functions, and this would hold of itself
        assert played.report.watched > 200


def test_what_no_agent_may_send_is_refused(played: Played) -> None:
    assert [each for each in played.report.tried if each.text.split()[0] in played.report.others] == []
    assert played.report.others.total() == OTHERS[played.name]


def test_the_gateway_logs_no_error(played: Played) -> None:
    assert "level=error" not in played.report.log, played.report.log[-3000:]


def test_the_docs_explain_every_known_difference() -> None:
    said = documented()
    assert {each.name for each in known()} == {name for counts in said.values() for name in counts}
