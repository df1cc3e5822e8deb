"""The corpus at both depths: rewritten by the gateway, and natively inside the database; and in one (`enforce: both`).

What only reads is also compared with views written by hand from the policy alone (`truth.sql`).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from tests.depths.depths_cases import FOLDER, Case, cases
from tests.depths.depths_rig import KEEP, Outcome, State, run
from tests.support.canary import leaks_in_files
from tests.support.gateway import RunningGateway, prepare_gateway, running_gateway
from tests.support.installed import versions
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import Database, Server

CASES = cases()
VALUES = {"customer_id": "101"}
SCOPE_CODES = {"action_not_granted", "resource_unknown", "field_not_granted", "value_not_granted", "row_out_of_scope",
               "needs_approval"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Depth:
    """One way to the data: connections (one is kept for as long as it is clean), and the tables behind it."""

    connect: Callable[[], psycopg.Connection]
    state: State
    kept: list[psycopg.Connection]
    known: dict[str, tuple[Outcome, str]]

    def run(self, case: Case) -> tuple[Outcome, str]:
        """Return what a case gave, and a fingerprint of what it changed. Each case is run once."""
        if case.name not in self.known:
            self.known[case.name] = self._run(case)
        return self.known[case.name]

    def _run(self, case: Case) -> tuple[Outcome, str]:
        connection = self.kept.pop() if self.kept else self.connect()
        outcome = run(connection, case)
        clean = len(case.steps) == 1 and connection.info.transaction_status == TransactionStatus.IDLE
        if clean:
            self.kept.append(connection)
        else:
            connection.close()
        return outcome, self.state.settle()


@dataclass(frozen=True, slots=True)
class Stage:
    version: int
    xml: bool
    rewrite: Depth
    native: Depth
    both: Depth
    truth: psycopg.Connection


@pytest.fixture(scope="module", params=versions("depths", 15, 18))
def stage(request: pytest.FixtureRequest, servers: Callable[[int], Server]) -> Iterator[Stage]:
    """A gateway before one copy of the data, the compiled policy inside another, the hand-written views in a third."""
    server, policy = servers(request.param), (FOLDER / "policy.yaml").read_text()
    rewritten, native, both = (server.create(_script()) for _ in range(3))
    with ExitStack() as stack:
        gateway = stack.enter_context(running_gateway(policy, {"FREIGHT_URL": rewritten.url("gate", "gate")}))
        opened = gateway.open_session("clerk", task="serve", tenant="1", values=VALUES)
        applied = Native(native, loaded(policy), ("gate", "gate"))
        applied.apply()
        session = session_of("clerk", task="serve", tenant=1, values={"customer_id": 101})

        def act() -> psycopg.Connection:
            connection = psycopg.connect(applied.url, autocommit=True)
            applied.bind(connection, session)
            return connection

        behind = stack.enter_context(_both(policy, both))
        opened_behind = behind.open_session("clerk", task="serve", tenant="1", values=VALUES)
        yield Stage(
            request.param,
            _knows_xml(rewritten),
            _depth(lambda: psycopg.connect(opened.url(), autocommit=True), rewritten, stack),
            _depth(act, native, stack),
            _depth(lambda: psycopg.connect(opened_behind.url(), autocommit=True), both, stack),
            stack.enter_context(
                psycopg.connect(rewritten.url(), autocommit=True, options="-c search_path=truth,public,pg_catalog")
            ),
        )
        for each in (gateway, behind):
            each.flush()
            assert leaks_in_files(each.folder) == []


@contextmanager
def _both(policy: str, database: Database) -> Generator[RunningGateway]:
    """Run a gateway with `enforce: both`, on a database to which it was applied by the command line."""
    folder = Path(tempfile.mkdtemp(prefix="bwgw"))
    environ = {"FREIGHT_URL": database.url("gate", "gate"), "ADMIN_URL": database.url()}
    gateway = prepare_gateway(folder, policy.replace("    sql: true\n", "    sql: true\n    enforce: both\n"), environ)
    try:
        applied = gateway.say("postgres", "apply", "policy.yaml", "--url-env", "ADMIN_URL", "--yes")
        assert applied.returncode == 0, applied.stderr
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _knows_xml(database: Database) -> bool:
    try:
        return bool(database.rows("SELECT '<a/>'::xml::text"))
    except psycopg.errors.FeatureNotSupported:
        return False


def _script() -> str:
    return (FOLDER / "schema.sql").read_text() + (FOLDER / "truth.sql").read_text() + KEEP


def _depth(connect: Callable[[], psycopg.Connection], database: Database, stack: ExitStack) -> Depth:
    state, kept = State(database), list[psycopg.Connection]()
    stack.callback(state.close)
    stack.callback(lambda: [each.close() for each in kept])
    return Depth(connect, state, kept, {})


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_both_depths_say_the_same(case: Case, stage: Stage) -> None:
    if stage.version < case.since or (case.xml and not stage.xml):
        case = replace(case, expected="refuse")  # that server does not know the syntax
    rewritten, changed = stage.rewrite.run(case)
    natively, changed_natively = stage.native.run(case) if case.natively else (rewritten, changed)
    told = f"rewritten: {_words(rewritten)}\nnatively: {_words(natively)}"
    assert rewritten.leaks() == [], told
    assert natively.leaks() == [], told
    problem = judge(case, rewritten, natively, same_state=changed == changed_natively, changed=bool(changed))
    assert problem == "", told
    if case.reads and case.expected in ("answer", "empty"):
        truth = run(stage.truth, case)
        assert truth.error == "", truth.texts
        assert rewritten.same_rows(truth, ordered=case.ordered), f"{told}\nby hand: {_words(truth)}"


@pytest.mark.parametrize("stage", versions("depths", 18), indirect=True)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_both_depths_together_say_what_the_rewriter_says(case: Case, stage: Stage) -> None:
    rewritten, changed = stage.rewrite.run(case)
    behind, changed_behind = stage.both.run(case)
    told = f"rewritten: {_words(rewritten)}\nwith both: {_words(behind)}"
    assert behind.leaks() == [], told
    if case.expected == "rewrite" and behind.error:
        return  # as docs/native.md says of views
    if not case.both:
        assert behind.error, told
        return
    assert bool(behind.error) == bool(rewritten.error), told
    assert rewritten.same_rows(behind, ordered=case.ordered), told
    assert (changed_behind, behind.tags) == (changed, rewritten.tags), told


def judge(case: Case, rewritten: Outcome, natively: Outcome, *, same_state: bool, changed: bool) -> str:
    """Return how a case differs from what is expected of both depths, or nothing."""
    if case.expected == "refuse":
        wrong = [name for name, each in (("rewritten", rewritten), ("natively", natively)) if not each.error]
        return f"not refused: {', '.join(wrong)}" if wrong else _still(same_state, changed)
    if case.expected == "gateway":
        if not rewritten.error or rewritten.code in SCOPE_CODES:
            return f"not refused for its kind: {rewritten.error or 'answered'} {rewritten.code}"
        return "natively something changed" if changed or not same_state else ""
    if case.expected == "rewrite":
        same = not natively.error and rewritten.same_rows(natively, ordered=case.ordered) and same_state
        if same or rewritten.error or not rewritten.touched:
            return "the same after all" if same else "refused: rewritten"
        return ""
    if case.expected == "contained" and all(each.error or not each.touched for each in (rewritten, natively)):
        return _still(same_state, changed)
    wrong = [name for name, each in (("rewritten", rewritten), ("natively", natively)) if each.error]
    if wrong:
        return f"refused: {', '.join(wrong)}"
    if not rewritten.same_rows(natively, ordered=case.ordered) or rewritten.tags != natively.tags:
        return "different rows"
    if not same_state:
        return "different changes"
    if case.expected == "empty":
        return "something is there" if rewritten.touched else ""
    return "" if case.expected == "contained" or rewritten.touched else "nothing is there: the case says nothing"


def _still(same_state: bool, changed: bool) -> str:
    return "" if same_state and not changed else "a refused statement changed something"


def _words(outcome: Outcome) -> str:
    what = f"{outcome.error} {outcome.code}" if outcome.error else f"{outcome.rows[:12]} {outcome.tags}"
    return f"{what} {outcome.texts[-1:] if outcome.error else ''}"[:1500]


def test_the_corpus_is_large_and_no_statement_is_there_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.steps for case in CASES}) == len(CASES)
    assert sum(not case.hostile for case in CASES) >= 400
    assert sum(case.hostile for case in CASES) >= 400
