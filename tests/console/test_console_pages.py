"""Pages say what the ledger and the desk say, no more than somebody's clearance lets them see."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from console_world import World

from bailiwick.console.records import shown
from bailiwick.gateway.ledger.reader import Query, Stored, open_reader
from bailiwick.ledger.clearance import HIDDEN, seen
from bailiwick.ledger.departures import Told
from tests.gateway.ledger_rig import new_store, record

pytestmark = pytest.mark.xdist_group("console")


def test_search_finds_what_query_finds_and_a_record_is_shown_with_its_proof(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4")
    world.query(session.token, "SELECT order_id, note FROM orders")
    world.query(session.token, "SELECT secret FROM orders")
    browser = world.browser("eve")
    reader = open_reader(world.gateway.folder / ".bailiwick" / "ledger.db")
    try:
        calls = reader.query(Query(session=session.id, kind="call"))
        denied = reader.query(Query(session=session.id, decision="deny"))
    finally:
        reader.close()
    page = browser.once(f"/console/ledger?session={session.id}&kind=call&agent=")
    assert all(f"/console/ledger/{each.seq}" in page.text for each in calls)
    page = browser.once(f"/console/ledger?session={session.id}&decision=deny")
    assert f"/console/ledger/{denied[0].seq}" in page.text
    assert f"/console/ledger/{calls[0].seq}" not in page.text
    record = json.loads(denied[0].body)
    for name in (str(denied[0].seq), str(record["id"])):
        page = browser.once(f"/console/ledger/{name}")
        assert record["code"] in page.text
        assert "Proof" in page.text
    first = browser.once("/console/ledger/0")
    assert "in the signed tree of" in first.text
    assert browser.once("/console/ledger/999999").status == 404
    for odd in ("since=yesterday", "decision=maybe", "since=99999999999d"):
        assert browser.once(f"/console/ledger?{odd}").status == 400


def test_export_is_what_is_stored_all_of_it_and_on_record(world: World) -> None:
    browser = world.browser("root")
    token = browser.once("/console/ledger").token
    reader = open_reader(world.gateway.folder / ".bailiwick" / "ledger.db")
    try:
        stored = {each.body for each in reader.query(Query(limit=100_000))}
        lines = set(browser.once("/console/ledger/export", {"csrf": token, "form": "jsonl"}).text.encode().splitlines())
        assert stored <= lines
        action = json.loads(reader.query(Query(kind="console.action", limit=1))[-1].body)
        assert action["detail"]["action"] == "ledger.export"
    finally:
        reader.close()
    table = browser.once("/console/ledger/export", {"csrf": token, "form": "csv", "kind": "gateway.started"}).text
    assert table.startswith("seq,at,id,kind")
    assert table.count("gateway.started") == 1


def test_what_is_above_somebodys_clearance_is_hidden_and_not_exported() -> None:
    record = {
        "kind": "call",
        "labels": ["confidential", "pii"],
        "statement": "canary",
        "agent": "a",
        "detail": {"x": "canary"},
    }
    stored = Stored(7, json.dumps(record).encode())
    low, high = shown(stored, "internal"), shown(stored, "confidential")
    assert low.hidden
    assert low.body == b""
    assert "canary" not in json.dumps(dict(low.members)) + low.what
    assert low.members["statement"] == HIDDEN
    assert low.members["agent"] == "a"
    assert not high.hidden
    assert "canary" in high.what
    assert not shown(Stored(8, b'{"kind":"call"}'), "internal").hidden
    assert shown(Stored(8, b'{"kind":"call"}'), "public").hidden  # without a label it is internal
    assert shown(Stored(9, b"\xff"), "restricted").members["kind"] == "unreadable"


def test_what_is_hidden_from_somebody_is_not_found_by_them_either(tmp_path: Path) -> None:
    store = new_store(tmp_path / "ledger.db")
    one = record(1, statement="SELECT 'canary'")
    store.append([one._replace(labels=("confidential",)), record(2, statement="SELECT 'canary'")])
    store.close()
    reader = open_reader(tmp_path / "ledger.db")
    try:
        for text in ("canary", "statement:*canary*", "not statement:hidden*"):
            asked = Query(filter=text)
            assert [each.seq for each in reader.query(asked)] == [0, 1]
            low = replace(asked, seen=partial(seen, clearance="internal"))
            assert [each.seq for each in reader.query(low)] == [1]
    finally:
        reader.close()


def test_the_search_takes_a_filter(world: World) -> None:
    browser = world.browser("eve")
    page = browser.once(f"/console/ledger?{urlencode({'filter': 'kind:gateway.started seq:0'})}")
    assert '/console/ledger/0"' in page.text
    assert '/console/ledger/1"' not in page.text
    assert browser.once("/console/ledger?filter=agnet:x").status == 400


def test_session_says_its_scope_and_now_counts_its_calls(world: World) -> None:
    session = world.gateway.open_session("desk-bot", tenant="4")
    browser = world.browser("vic")
    before = browser.once("/console").text
    world.query(session.token, "SELECT order_id FROM orders")
    page = browser.once(f"/console/sessions/{session.id}")
    assert "orders: reads" in page.text
    assert "<svg" in page.text
    assert "/console/ledger/" not in page.text  # a viewer does not read the ledger
    after = browser.once("/console").text
    assert before != after
    assert browser.once("/console/sessions/ses_nothing").status == 404


def test_what_is_out_of_the_usual_is_shown_to_auditors(world: World) -> None:
    found = Told(
        "fnd_1", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "desk-bot", "look", "ses_1", "rec_odd", "unusual_calls",
        "agent `desk-bot` <b>odd</b>", "", {"severity": "medium", "usual": {"most": 3}, "since": "today"},
    )  # fmt: skip
    with closing(sqlite3.connect(world.gateway.folder / ".bailiwick/state.db", timeout=60)) as state, state:
        row = (found.id, int(time.time() * 1e6), json.dumps(asdict(found)), 1)
        state.execute("INSERT INTO findings (id, at, content, recorded) VALUES (?, ?, ?, ?)", row)
    auditor, deadline = world.browser("eve"), time.monotonic() + 60
    while "desk-bot` &lt;b&gt;odd" not in (page := auditor.once("/console").text):
        assert time.monotonic() < deadline, page
        time.sleep(0.5)
    assert "/console/ledger/rec_odd" in page
    assert "rec_odd" not in world.browser("vic").once("/console").text


def test_live_page_sends_what_changes_and_ends_with_the_login(world: World) -> None:
    import http.client

    browser = world.browser("vic")
    (cookie,) = browser.jar[urlsplit(world.base).netloc].items()
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.api_port, timeout=60)
    connection.request("GET", "/console/now/live", headers={"Cookie": "=".join(cookie)})
    answer = connection.getresponse()
    assert answer.headers["content-type"] == "text/event-stream"
    first = answer.readline()
    assert first.startswith(b"data: ")
    browser.once("/console/logout", {"csrf": browser.once("/console").token})
    rest = b""
    while b"event: over" not in rest:
        line = answer.readline()
        assert line, "it ended without a word"
        rest += line
    connection.close()


def test_vendored_files_are_what_was_published() -> None:
    folder = files("bailiwick.console") / "static"
    known = json.loads((folder / "vendored.json").read_text())
    for name, told in known["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told["sha256"]
    assert {"htmx.min.js", "hx-sse.min.js"} <= set(known["files"])
