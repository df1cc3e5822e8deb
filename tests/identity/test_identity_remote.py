"""The command line asks a gateway elsewhere as it asks the one here: the same answers, errors and exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import cast

import pytest
from identity_world import POLICY, SECRET, World
from test_identity_api import base, call, post, token_of

from bailiwick.cli.ledger_option import opened
from bailiwick.control.remote_client import RemoteClient
from bailiwick.control.remote_ledger import RemoteLedger
from bailiwick.errors import ConfigError
from bailiwick.gateway.admin_client import AnswerError
from bailiwick.gateway.ledger.reader import Query
from bailiwick.gateway.wire import Json
from tests.support.forked import said

pytestmark = pytest.mark.xdist_group("identity-api")


def remote(world: World, folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command far from the gateway's files."""
    known = {"PATH": world.gateway.environ["PATH"], "HOME": str(folder), "BAILIWICK_GATEWAY": base(world)}
    client = {"BAILIWICK_GATEWAY_CLIENT": "admin", "BAILIWICK_GATEWAY_SECRET": SECRET}
    return said(folder, {**known, **(environ or client)}, *arguments)


def elsewhere(world: World) -> RemoteLedger:
    """Return the ledger as the command line sees it from elsewhere."""
    return RemoteLedger(RemoteClient(base(world), {"BAILIWICK_GATEWAY_TOKEN": token_of(world, "admin")}))


def test_a_session_is_opened_listed_shown_and_revoked_from_elsewhere(world: World, tmp_path: Path) -> None:
    asked = ("--agent", "desk-bot", "--task", "look", "--user", "ada", "--group", "support", "--claim", "region=EU")
    opened = remote(world, tmp_path, "session", "open", *asked, "--tenant", "4", "--format", "json")
    assert opened.returncode == 0, opened.stderr
    session = str(json.loads(opened.stdout)["session"]["id"])
    assert "canary-eu-four" in world.rows(str(json.loads(opened.stdout)["token"]))
    listed = json.loads(remote(world, tmp_path, "session", "list", "--json").stdout)
    assert session in [each["id"] for each in listed]
    here = world.gateway.say("session", "show", session)
    assert remote(world, tmp_path, "session", "show", session).stdout.splitlines()[:3] == here.stdout.splitlines()[:3]
    assert remote(world, tmp_path, "session", "revoke", session).returncode == 0
    for run in (
        remote(world, tmp_path, "session", "show", "ses_none"),
        world.gateway.say("session", "show", "ses_none"),
    ):
        assert run.returncode == 1
        assert "ses_none" in run.stderr


def test_the_ledger_is_read_verified_and_proven_from_elsewhere(world: World, tmp_path: Path) -> None:
    world.gateway.open_session("desk-bot")
    found = remote(world, tmp_path, "ledger", "query", "--kind", "session.opened", "--limit", "1", "--json")
    assert found.returncode == 0, found.stderr
    record = json.loads(found.stdout)
    here = world.gateway.say("ledger", "show", str(record["id"]), "--json")
    assert here.stdout == found.stdout
    assert remote(world, tmp_path, "ledger", "show", str(record["seq"]), "--json").stdout == found.stdout
    told = remote(world, tmp_path, "ledger", "verify", "--json")
    assert (told.returncode, json.loads(told.stdout)["ok"]) == (0, True)
    assert remote(world, tmp_path, "ledger", "prove", str(record["id"])).stdout.startswith("c2sp.org/tlog-proof")
    assert str(record["id"]) in remote(world, tmp_path, "ledger", "tail", "-n", "500").stdout
    spoiled = tmp_path / "checkpoint"
    spoiled.write_text("not one")
    assert remote(world, tmp_path, "ledger", "verify", "--checkpoint", str(spoiled)).returncode == 1


def test_stories_reports_exports_and_sql_are_the_same_from_elsewhere(world: World, tmp_path: Path) -> None:
    session = world.gateway.open_session("desk-bot", task="look", user="ada", groups=("support",), tenant="4")
    world.refused(session.token)
    for asked in (
        ("story", session.id),
        ("export", f"session:{session.id}", "--format", "ocsf"),
        ("query", "--saved", "denials", "--session", session.id, "--json"),
    ):
        here, there = world.gateway.say("ledger", *asked), remote(world, tmp_path, "ledger", *asked)
        assert (there.returncode, here.returncode) == (0, 0), there.stderr + here.stderr
        assert there.stdout == here.stdout
        assert here.stdout
    told = remote(world, tmp_path, "ledger", "sql", "SELECT DISTINCT agent FROM records", "--filter", session.id)
    assert "desk-bot" in told.stdout
    page = tmp_path / "page.html"
    denied = remote(world, tmp_path, "ledger", "report", "violations", "--html", str(page))
    assert denied.returncode == 0, denied.stderr
    assert "desk-bot" in page.read_text()
    ledger = elsewhere(world)
    assert ledger.keys()[0] == (world.gateway.folder / ".bailiwick" / "ledger.vkey").read_text().splitlines()[0]
    assert ledger.growth(1)["old"] == 1
    with pytest.raises(AnswerError, match="no such session"):
        ledger.story("ses_none")


def test_what_a_policy_would_have_changed_what_is_learnt_and_what_drifted_is_asked_from_elsewhere(
    world: World, tmp_path: Path
) -> None:
    known: dict[str, Json] = {"user": "ada", "groups": ["support"], "claims": {"region": "EU"}, "tenant": "4"}
    opened = world.gateway.admin.ask("session.open", {"agent": "desk-bot", "task": "look", **known})
    world.rows(str(opened["token"]))
    text = world.gateway.policy.read_text()
    (tmp_path / "policy.yaml").write_text(text.replace("orders:read,", "orders:read, fields: [order_id],"))
    (tmp_path / "bailiwick.lock").write_text((world.gateway.folder / "bailiwick.lock").read_text())
    planned = remote(world, tmp_path, "policy", "plan", "policy.yaml", "--json")
    assert planned.returncode == 2, planned.stderr
    assert {each["kind"] for each in json.loads(planned.stdout)["changes"]} == {"denied"}
    admin, auditor = token_of(world, "admin"), world.id_token("eve")
    asked = {"agents": ["desk-bot"]}
    status, _, told = post(world, "/api/v1/learn", asked, admin)
    assert (status, "orders:read" in str(told["files"]), told["hidden"]) == (200, True, 0)
    status, _, told = post(world, "/api/v1/learn", asked, auditor)
    assert (status, "orders:read" in str(told["files"])) == (200, False)
    assert cast("int", told["hidden"]) > 0
    assert post(world, "/api/v1/learn", asked, token_of(world, "watcher"))[0] == 403
    drifted = remote(world, tmp_path, "drift")
    assert (drifted.returncode, drifted.stdout) == (0, world.gateway.say("drift").stdout), drifted.stderr
    found = call(f"{base(world)}/api/v1/doctor", None, admin)[2]["findings"]
    assert "gateway.yaml" in str(found) or "backends" in str(found)
    assert call(f"{base(world)}/api/v1/doctor", None, auditor)[0] == 403


def test_a_persons_key_is_destroyed_from_elsewhere(world: World) -> None:
    world.gateway.open_session("desk-bot", task="look", user="zed", groups=("support",), tenant="4")
    admin = token_of(world, "admin")
    for path, body in (("erase", {"person": "zed"}), ("rotate-key", {"overlap": "0s"})):
        assert post(world, f"/api/v1/ledger/{path}", body, token_of(world, "watcher"))[0] == 403
    status, _, refused = post(world, "/api/v1/ledger/erase", {"person": "zed"}, admin)
    assert (status, "open sessions" in str(refused["title"])) == (409, True)
    assert post(world, "/api/v1/ledger/erase", {"person": "nobody-of-here"}, admin)[2]["erased"] is False


def test_more_records_than_one_answer_has_are_asked_for_in_turn(world: World) -> None:
    for _ in range(4):
        world.gateway.open_session("desk-bot")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bailiwick.control.remote_ledger._most", 3)
        ledger = elsewhere(world)
        asked = Query(kind="session.opened", limit=4)
        assert [each.seq for each in ledger.query(asked)] == [each.seq for each in ledger.each(asked)][-4:]


def test_a_gateway_elsewhere_is_never_passed_over_for_the_files_here(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = str(world.gateway.folder / ".bailiwick" / "ledger.db")
    opened(ledger).close()
    monkeypatch.setenv("BAILIWICK_GATEWAY", base(world))
    with pytest.raises(ConfigError, match="gateway elsewhere"):
        opened(ledger)


def test_what_would_be_decided_is_asked_of_a_gateway_elsewhere(world: World, tmp_path: Path) -> None:
    asked = ("--agent", "desk-bot", "--task", "look", "--user", "ada", "--group", "support", "--tenant", "4")
    for sql, code in (("SELECT note FROM orders", 0), ("SELECT note FROM secrets", 1)):
        here = world.gateway.say("explain", sql, *asked)
        there = remote(world, tmp_path, "explain", sql, *asked)
        assert (there.returncode, here.returncode) == (code, code), there.stderr
        assert there.stdout.replace(str(world.gateway.folder) + "/", "") == here.stdout
    wrong = remote(world, tmp_path, "explain", "SELECT 1", "--agent", "nobody")
    assert wrong.returncode == 1
    assert "nobody" in wrong.stderr


def test_the_matrix_and_what_a_policy_would_change_are_asked_of_a_gateway_elsewhere(
    world: World, tmp_path: Path
) -> None:
    there = remote(world, tmp_path, "matrix", "--json")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout) == json.loads(world.gateway.say("matrix", "--json").stdout)
    assert "orders" in remote(world, tmp_path, "matrix").stdout
    policy = tmp_path / "policy.yaml"
    text = world.gateway.policy.read_text()
    policy.write_text(text)
    same = remote(world, tmp_path, "policy", "diff", str(policy))
    assert (same.returncode, same.stdout) == (0, "nothing becomes possible or impossible\n")
    policy.write_text(text.replace(", rows: {region: $user.region}", ""))
    wider = remote(world, tmp_path, "policy", "diff", str(policy))
    assert wider.returncode == 1
    assert wider.stdout.startswith("+ ")
    policy.write_text(POLICY.replace("orders:read", "orders:raed:"))
    assert remote(world, tmp_path, "policy", "diff", str(policy)).returncode == 2


def test_who_is_not_allowed_is_told_so(world: World, tmp_path: Path) -> None:
    watcher = {"BAILIWICK_GATEWAY_CLIENT": "watcher", "BAILIWICK_GATEWAY_SECRET": SECRET}
    assert remote(world, tmp_path, "status", **watcher).returncode == 0
    closed = remote(world, tmp_path, "ledger", "tail", **watcher)
    assert closed.returncode == 1
    assert "needs the role `auditor`" in closed.stderr
    wrong = remote(world, tmp_path, "status", **{**watcher, "BAILIWICK_GATEWAY_SECRET": "x" * 30})
    assert wrong.returncode == 1
    nothing = remote(world, tmp_path, "status", BAILIWICK_GATEWAY_CLIENT="")
    assert nothing.returncode == 1
    assert "BAILIWICK_GATEWAY_TOKEN" in nothing.stderr
    for run in (closed, wrong, nothing):
        assert SECRET not in run.stdout + run.stderr


def test_a_token_is_taken_from_a_file_and_never_sent_in_the_open(world: World, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token_of(world, "watcher") + "\n")
    assert remote(world, tmp_path, "status", BAILIWICK_GATEWAY_TOKEN_FILE=str(file)).returncode == 0
    environ = {"BAILIWICK_GATEWAY_TOKEN_FILE": str(file)}
    for url in ("http://gw.example", "ftp://gw.example", "https://user@gw.example", "gw.example", base(world) + "?a=b"):
        with pytest.raises(ConfigError):
            RemoteClient(url, environ)
    gone = remote(world, tmp_path, "--gateway", "http://127.0.0.1:9", "status", **environ)
    assert (gone.returncode, "no gateway answers" in gone.stderr) == (1, True)
    assert "--gateway" in remote(world, tmp_path, "--help").stdout
