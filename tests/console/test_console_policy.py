"""Matrix, what-if and policy: what they say is what the command line says of the policy in force."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from console_world import World

from bailiwick.console.policies import compare
from bailiwick.gateway.policies.archive import Archived, PolicyArchive

pytestmark = pytest.mark.xdist_group("console")


def test_matrix_says_verbs_words_and_use(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4")
    world.query(session.token, "SELECT order_id FROM orders")
    browser = world.browser("vic")
    page = browser.once("/console/matrix")
    assert page.status == 200
    assert "agent=desk-bot&amp;resource=orders" in page.text
    cell = browser.once("/console/matrix/cell?agent=desk-bot&resource=orders")
    assert "only rows of the session" in cell.text
    assert re.search(r"<td>read</td><td class=\"number\">[1-9]", cell.text)
    assert "Granted and not used: read" in browser.once("/console/matrix/cell?agent=idle-bot&resource=orders").text
    for odd in (
        "agent=nobody&resource=orders",
        "agent=desk-bot&resource=nothing",
        "agent=desk-bot&resource=orders&task=x",
    ):
        assert browser.once(f"/console/matrix/cell?{odd}").status == 404
    agents = browser.once("/console/agents").text
    assert "answers &lt;b&gt;people&lt;/b&gt;" in agents


def test_what_if_answers_as_explain_and_takes_no_value_for_an_option(world: World) -> None:
    browser = world.browser("vic")
    form = {"csrf": browser.once("/console/what-if").token, "agent": "desk-bot", "mount": "shop", "tenant": "4"}
    allowed = browser.once("/console/what-if", {**form, "what": "SELECT note FROM orders"})
    assert '<span class="badge allow">' in allowed.text
    assert "answers for its region" in allowed.text
    denied = browser.once("/console/what-if", {**form, "what": "SELECT ssn FROM customers"})
    assert '<span class="badge deny">' in denied.text
    for odd in ({"what": "--help"}, {"what": "--connect"}, {"what": "SELECT 1", "agent": "x --connect"}, {"what": ""}):
        page = browser.once("/console/what-if", {**form, **odd})
        assert page.status == 200
        assert "badge allow" not in page.text
        assert "Usage" not in page.text


@pytest.fixture
def written(world: World) -> Iterator[Path]:
    file = world.gateway.policy
    text = file.read_text()
    yield file
    file.write_text(text)
    world.gateway.admin.ask("reload", {})


def test_policy_page_tells_versions_differences_and_what_was_refused(world: World, written: Path) -> None:
    browser = world.browser("root")
    token = browser.once("/console/policy").token
    text = written.read_text()
    written.write_text(text.replace("fields: [customer_id, name]", "fields: [customer_id, name, ssn]"))
    assert browser.once("/console/policy/reload", {"csrf": token}).status == 303
    version = str(world.gateway.admin.ask("status", {})["policy"])
    page = browser.once("/console/policy")
    assert version[:16] in page.text
    assert "root" in page.text
    told = browser.once(f"/console/policy/{version}").text
    assert "wider" in told
    assert "<ins>+" in told
    assert "ssn" in told
    assert "wider" in browser.once("/console/matrix/cell?agent=desk-bot&resource=customers").text
    written.write_text(text + "\nnonsense: 1\n")
    assert browser.once("/console/policy/reload", {"csrf": token}).status == 400
    assert "was refused" in browser.once("/console/policy").text
    assert version[:16] in browser.once("/console/policy").text
    for odd in ("no.such", "x", "0" * 64):
        assert browser.once(f"/console/policy/{odd}").status == 404


def test_archive_keeps_each_version_once_and_opens_nothing_else(tmp_path: Path) -> None:
    archive = PolicyArchive(tmp_path / "policies")
    at = datetime(2026, 11, 22, tzinfo=UTC)
    first = Archived("a1", at, {"policy.yaml": "bailiwick: 1\n"}, None)
    archive.keep(first)
    archive.keep(Archived("a1", at, {"policy.yaml": "other"}, None))
    archive.keep(Archived("b2", at.replace(hour=1), {"policy.yaml": "bailiwick: 1\n# x\n"}, None))
    assert archive.find("a1") == first
    assert [each.version for each in archive.list()] == ["b2", "a1"]
    (tmp_path / "secret.json").write_text('{"at": "2026-11-22", "files": {}, "lock": null}')
    for odd in ("../secret", "", "x" * 200, "nothing"):
        assert archive.find(odd) is None
    archive.keep(Archived("../evil", at, {}, None))
    assert not (tmp_path / "evil.json").exists()
    assert compare(None, first).lines == ()
    assert ("+", "+# x") in compare(first, archive.list()[0]).lines
