"""The attacks, their twins and the corpus of tests/sql at both depths; what is equal is said in docs/native.md.

Each text runs inside a transaction that is rolled back, on PostgreSQL's newest version; that changes are the same too
is seen in `test_depths.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import psycopg
import pytest
import yaml

from tests.depths.depths_cases import FOLDER
from tests.depths.depths_rig import Outcome, run_texts
from tests.support.corpus import FOLDER as CORPUS
from tests.support.corpus import ROLES, Case, cases
from tests.support.gateway import running_gateway
from tests.support.native import Native, loaded, session_of
from tests.support.postgres import Server

ATTACKS = FOLDER.parent / "e2e" / "attacks"
KINDS = frozenset({"statement_not_allowed", "function_not_allowed", "syntax_not_supported", "statement_unparsable",
                   "statement_too_large", "limit_exceeded", "needs_approval"})  # fmt: skip
"""Codes of denials for the kind of statement: natively it may run."""
SERVERS_OWN = re.compile(
    r"(?i)\bpg_|information_schema|reg(class|type|proc|procedure|role|namespace)\b|current_(user|role|schema)|session_user|\boid\b"
    r"|\bversion\b|current_setting|set_config|\b(reset|discard|set role|show|listen|notify|load|explain)\b"
    r"|set\s+(session|local|\w+\s*(=|to)\b)"
)
"""The server's catalogue, settings and roles: the gateway has its own."""
LITERALS = re.compile(r"""([eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*')""")
ENDS = re.compile(
    r"(?i)\b(begin|start|commit|end|rollback|abort|savepoint|prepare|vacuum|checkpoint|cluster|reindex)\b"
)
"""Cannot be undone with a transaction around it."""
_listed = cast(dict[str, dict[str, str]], yaml.safe_load((FOLDER / "differences.yaml").read_text()))
DIFFERENCES = {name: entry["is"] for name, entry in _listed.items()}
CLOSED = """
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
DO $$ BEGIN DROP TRIGGER noisy ON desk.cases; EXCEPTION WHEN invalid_schema_name OR undefined_table THEN NULL; END $$;
"""
"""What docs/native.md asks for: what PUBLIC may call, every role may; and a table's own triggers run as the role."""


@dataclass(frozen=True, slots=True)
class Text:
    """Texts of one case, and the values of their parameters."""

    name: str
    texts: tuple[str, ...]
    parameters: tuple[str, ...] = ()


def _texts(name: str, sql: str | list[str], parameters: tuple[str, ...] = ()) -> Iterator[Text]:
    texts = (sql,) if isinstance(sql, str) else tuple(sql)
    whole = " ; ".join(texts)
    if sql and not SERVERS_OWN.search(whole) and not ENDS.search(whole) and "{" + "PORT" not in whole:
        yield Text(name, texts, parameters)


def _attacks() -> list[Text]:
    lines = [json.loads(line) for line in (ATTACKS / "attacks.jsonl").read_text().splitlines()]
    return [
        text for line in lines for kind in ("attack", "twin") for text in _texts(f"{line['id']}-{kind}", line[kind])
    ]


def _corpus() -> list[Text]:
    def of(case: Case) -> Iterator[Text]:
        if case.get("category") == "resource" or "gen" in case or "transport" in case:
            return
        values = tuple(str(value) for value in case.get("params", []))
        yield from _texts(case["id"], case.get("steps") or case.get("sql", ""), values)

    return [text for case in cases() for text in of(case)]


@dataclass(frozen=True, slots=True)
class Both:
    """Two connections of one session: through the gateway, and natively with the schemas of its views."""

    rewrite: psycopg.Connection
    native: psycopg.Connection
    schemas: dict[str, str]

    def natively(self, text: str) -> str:
        """Return a text in which qualified names (outside of literals) mean the views."""
        parts = LITERALS.split(text)
        for schema, views in self.schemas.items():
            name = re.compile(rf'(?i)(?<![\w.])(?:{schema}|"{schema}")\.(?=["\w])')
            parts[::2] = [name.sub(f'"{views}".', part) for part in parts[::2]]
        return "".join(parts)

    def run(self, text: Text) -> tuple[Outcome, Outcome]:
        """Run a case at both depths."""
        return (
            run_texts(self.rewrite, text.texts, text.parameters),
            run_texts(self.native, [self.natively(each) for each in text.texts], text.parameters),
        )


def _both(server: Server, script: str, policy: str, variable: str, agent: dict[str, object]) -> Iterator[Both]:
    rewritten, native = server.create(script, ROLES), server.create(script + CLOSED, ROLES)
    values = cast(dict[str, str], agent.get("values", {}))
    name, task, tenant = str(agent["name"]), cast("str | None", agent.get("task")), agent.get("tenant")
    with ExitStack() as stack:
        gateway = stack.enter_context(running_gateway(policy, {variable: rewritten.url("gw", "gw")}))
        opened = gateway.open_session(name, task=task, tenant=None if tenant is None else str(tenant), values=values)
        applied = Native(native, loaded(policy), ("gw", "gw"))
        applied.apply()
        numbers = {key: int(value) for key, value in values.items()}
        session = session_of(name, task=task, tenant=cast("int | None", tenant), values=numbers)
        yield Both(
            stack.enter_context(psycopg.connect(opened.url(), autocommit=True)),
            stack.enter_context(applied.connect(session)),
            dict(applied.schemas(session)),
        )


@pytest.fixture(scope="module")
def desk(postgres: Server) -> Iterator[Both]:
    """A session of the attacks' policy."""
    agent: dict[str, object] = {
        "name": "desk-bot",
        "task": "handle-case",
        "tenant": 7,
        "values": {"case_id": "700", "person_id": "70"},
    }
    script, policy = (ATTACKS / "fixture.sql").read_text(), (ATTACKS / "policy.yaml").read_text()
    yield from _both(postgres, script, policy, "DESK_URL", agent)


@pytest.fixture(scope="module", params=["constant-bot", "subquery-bot"])
def corpus(postgres: Server, request: pytest.FixtureRequest) -> Iterator[Both]:
    """A session of the corpus' policy, under each form of its filter."""
    script, policy = (CORPUS / "fixture.sql").read_text(), (CORPUS / "policy.yaml").read_text()
    yield from _both(postgres, script, policy, "CORPUS_URL", {"name": request.param})


def difference(rewritten: Outcome, natively: Outcome) -> str:
    """Return how the two depths differ, or nothing."""
    if natively.leaks():
        return "leaks natively"
    if rewritten.error and natively.error:
        return ""
    if not (rewritten.error or natively.error):
        return "" if rewritten.same_rows(natively, ordered=False) and rewritten.tags == natively.tags else "other rows"
    if rewritten.error:
        return "" if rewritten.code in KINDS or not natively.touched else "refused by the gateway only"
    return "refused natively only" if rewritten.touched else ""


@pytest.mark.parametrize("text", _attacks(), ids=lambda text: text.name)
def test_attacks_and_twins_at_both_depths(text: Text, desk: Both) -> None:
    rewritten, natively = desk.run(text)
    assert difference(rewritten, natively) == DIFFERENCES.get(text.name, ""), f"{rewritten}\n{natively}"


@pytest.mark.parametrize("text", _corpus(), ids=lambda text: text.name)
def test_the_corpus_at_both_depths(text: Text, corpus: Both) -> None:
    rewritten, natively = corpus.run(text)
    assert difference(rewritten, natively) == DIFFERENCES.get(text.name, ""), f"{rewritten}\n{natively}"


def test_known_differences_have_reasons_and_cases() -> None:
    assert set(_listed) <= {text.name for text in (*_attacks(), *_corpus())}
    assert all(len(entry["because"]) > 20 for entry in _listed.values())
