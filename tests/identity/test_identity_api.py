"""The API over HTTP: who may do what, and that it says the same as the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast
from urllib.request import Request, urlopen

import pytest
from identity_world import SECRET, Answer, World, call, spoiled

from bailiwick.control.operations import operations

pytestmark = pytest.mark.xdist_group("identity-api")


def base(world: World) -> str:
    fronts = cast("Mapping[str, Mapping[str, str]]", world.gateway.admin.ask("status", {})["fronts"])
    return f"http://127.0.0.1:{fronts['api']['port']}"


def token_of(world: World, client: str) -> str:
    """Return a client's token for the API."""
    form = {"grant_type": "client_credentials", "resource": "bailiwick:api", "client_id": client}
    status, _, body = call(f"{base(world)}/oauth/token", {**form, "client_secret": SECRET})
    assert status == 200, body
    return str(body["access_token"])


def text_of(url: str, token: str) -> str:
    """Return an answer that is no JSON, whole."""
    with urlopen(Request(url, None, {"Authorization": f"Bearer {token}"}), timeout=60) as answer:
        return answer.read().decode()


def post(world: World, path: str, body: object, token: str) -> Answer:
    return call(f"{base(world)}{path}", json.dumps(body).encode(), token)


def test_operations_need_their_roles(world: World) -> None:
    admin, watcher, desk = token_of(world, "admin"), token_of(world, "watcher"), world.gateway.open_session("desk-bot")
    url = f"{base(world)}/api/v1"
    for path, expected in (("/status", (200, 200)), ("/sessions", (200, 200)), ("/ledger/records", (200, 403))):
        assert tuple(call(url + path, None, each)[0] for each in (admin, watcher)) == expected
        for nobody in ("", "x", desk.token, spoiled(admin)):
            status, headers, _ = call(url + path, None, nobody)
            assert (status, "www-authenticate" in headers) in ((401, True), (403, False))
    assert post(world, "/api/v1/sessions", {"agent": "desk-bot"}, watcher)[0] == 403


def test_people_have_the_roles_of_their_groups(world: World) -> None:
    url = f"{base(world)}/api/v1/ledger/records"
    assert call(url, None, world.id_token("eve"))[0] == 200
    assert call(url, None, world.id_token("ada"))[0] == 403
    assert call(url, None, world.id_token("eve", "another-app"))[0] == 401


def test_session_is_opened_shown_and_revoked_as_on_the_command_line(world: World) -> None:
    admin = token_of(world, "admin")
    asked = {"agent": "desk-bot", "task": "look", "user": "ada", "groups": ["support"], "claims": {"region": "EU"}}
    status, _, opened = post(world, "/api/v1/sessions", {**asked, "tenant": "4"}, admin)
    assert status == 200, opened
    session = cast("Mapping[str, object]", opened["session"])
    told = world.rows(str(opened["token"]))
    assert "canary-eu-four" in told
    assert "canary-us-four" not in told
    url = f"{base(world)}/api/v1/sessions"
    shown = call(f"{url}/{session['id']}", None, admin)[2]
    assert shown["words"] == world.gateway.admin.ask("session.show", {"session": str(session["id"])})["words"]
    assert post(world, f"/api/v1/sessions/{session['id']}/revoke", {}, admin)[0] == 200
    assert call(world.mcp, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', str(opened["token"]))[0] == 401
    status, headers, refused = post(world, "/api/v1/sessions", {**asked, "groups": ["sales"]}, admin)
    assert (status, refused["code"]) == (409, "action_not_granted")
    assert headers["content-type"] == "application/problem+json"


def test_ledger_is_asked_shown_and_proven(world: World) -> None:
    admin = token_of(world, "admin")
    url = f"{base(world)}/api/v1/ledger"
    records = cast(
        "list[dict[str, object]]", call(f"{url}/records?kind=token.issued&limit=5", None, admin)[2]["records"]
    )
    assert {each["kind"] for each in records} == {"token.issued"}
    one = str(records[0]["id"])
    assert call(f"{url}/records/{one}", None, admin)[2]["record"] == records[0]
    assert str(call(f"{url}/records/{one}/proof", None, admin)[2]["proof"]).startswith("c2sp.org/tlog-proof")
    assert "checkpoint" in call(f"{url}/checkpoint", None, admin)[2]
    assert call(f"{url}/records/rec_x", None, admin)[0] == 404


def test_what_is_above_a_callers_clearance_is_hidden_and_not_found(world: World) -> None:
    session = world.gateway.open_session("desk-bot", task="look", user="ada", groups=("support",), tenant="4")
    world.refused(session.token)
    url, admin, auditor = f"{base(world)}/api/v1/ledger", token_of(world, "admin"), world.id_token("eve")
    for path in ("records", "export", "export?format=csv", "export?format=ocsf", f"sessions/{session.id}/story"):
        clear, hidden = text_of(f"{url}/{path}", admin), text_of(f"{url}/{path}", auditor)
        assert "secrets_canary" in clear, path
        assert "secrets_canary" not in hidden, path
        assert hidden.count("\n") == clear.count("\n")
    assert "secrets_canary" not in text_of(f"{url}/violations", auditor)
    for path in ("records", "export"):
        assert session.id in text_of(f"{url}/{path}?filter=secrets_canary", admin)
        assert session.id not in text_of(f"{url}/{path}?filter=secrets_canary", auditor)
        assert session.id in text_of(f"{url}/{path}?filter=session:{session.id}", auditor)
    found = call(f"{url}/records?decision=deny&session={session.id}", None, admin)[2]["records"]
    (one,) = cast("list[dict[str, object]]", found)
    assert "secrets_canary" in text_of(f"{url}/records/{one['id']}", admin)
    assert "secrets_canary" not in text_of(f"{url}/records/{one['id']}", auditor)


def test_every_path_and_method_stands_in_the_table_once() -> None:
    known = [(each.method, each.path) for each in operations]
    assert len(known) == len(set(known))
    asked = [each.do for each in operations if each.do]
    assert len(asked) == len(set(asked))


def test_what_the_ledger_keeps_is_told_held_and_released(world: World) -> None:
    admin, watcher, url = token_of(world, "admin"), token_of(world, "watcher"), f"{base(world)}/api/v1/ledger"
    assert cast("int", call(f"{url}/stats", None, admin)[2]["records"]) > 0
    status, _, told = post(world, "/api/v1/ledger/holds", {"reason": "a lawsuit", "user": "ada"}, admin)
    assert status == 200, told
    held = cast("list[Mapping[str, object]]", call(f"{url}/holds", None, admin)[2]["holds"])
    assert [(each["id"], each["reason"]) for each in held] == [(told["hold"], "a lawsuit")]
    assert post(world, f"/api/v1/ledger/holds/{told['hold']}/release", {}, admin)[0] == 200
    assert call(f"{url}/holds", None, admin)[2]["holds"] == []
    assert post(world, "/api/v1/ledger/prune", {"dry": True}, admin)[2]["done"] is False
    asked = (
        ("stats", None),
        ("holds", None),
        ("holds", b'{"reason": "x"}'),
        ("holds/x/release", b"{}"),
        ("prune", b"{}"),
    )
    for path, data in asked:
        assert call(f"{url}/{path}", data, watcher)[0] == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/sessions?al=true", 400),
        ("/api/v1/sessions?all=yes", 400),
        ("/api/v1/sessions?all=true&all=true", 400),
        ("/api/v1/ledger/records?limit=0", 400),
        ("/api/v1/ledger/records?limit=99999", 400),
        ("/api/v1/ledger/records?decision=maybe", 400),
        ("/api/v1/ledger/records?filter=agnet:x", 409),
        ("/api/v1/ledger/records?filter=agent:x%20or%20rows%3E1", 200),
        ("/api/v1/sessions/ses_nobody", 409),
        ("/api/v1/%73tatus", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1", 404),
        ("/api/v1/sessions?all=true", 200),
    ],
)
def test_what_is_asked_wrongly_is_an_error_of_the_caller(world: World, path: str, status: int) -> None:
    assert call(base(world) + path, None, token_of(world, "admin"))[0] == status


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"agent":7}', b'{"agent":"desk-bot","agent":"x"}', b'{"agent":"desk-bot","x":1}', b"\xff"],
)
def test_bodies_that_say_something_else_open_nothing(world: World, body: bytes) -> None:
    status, _, told = call(f"{base(world)}/api/v1/sessions", body, token_of(world, "admin"))
    assert status == 400
    assert "token" not in told


def test_description_has_every_operation_and_needs_no_token(world: World) -> None:
    status, _, described = call(f"{base(world)}/api/v1/openapi.json")
    assert status == 200
    paths = cast("Mapping[str, Mapping[str, object]]", described["paths"])
    assert {
        "/api/v1/status",
        "/api/v1/sessions/{session}/revoke",
        "/api/v1/ledger/records/{record}/proof",
    } <= paths.keys()


def test_decisions_are_given_over_http_and_their_metadata_is_found(world: World) -> None:
    metadata = call(f"{base(world)}/.well-known/authzen-configuration")[2]
    subject = {"type": "agent", "id": "desk-bot", "properties": {"task": "look"}}
    asked = {"subject": subject, "action": {"name": "read"}, "resource": {"type": "orders"}}
    endpoint = str(metadata["access_evaluation_endpoint"])
    told = call(endpoint, json.dumps(asked).encode(), token_of(world, "watcher"))
    assert (told[0], told[2]["decision"]) == (200, True)
    assert call(endpoint, json.dumps(asked).encode())[0] == 401
    named = {**asked, "subject": {"type": "employee", "id": "zoe"}, "action": {"name": "can_see"}}
    assert call(endpoint, json.dumps(named).encode(), token_of(world, "watcher"))[2]["decision"] is False
    world.gateway.open_session("desk-bot", task="look", user="zoe", groups=("support",), tenant="4")
    assert call(endpoint, json.dumps(named).encode(), token_of(world, "watcher"))[2]["decision"] is True


def test_records_are_held_and_released_over_http(world: World) -> None:
    admin, watcher = token_of(world, "admin"), token_of(world, "watcher")
    asked = {"reason": "a case", "agent": "desk-bot"}
    assert post(world, "/api/v1/ledger/holds", asked, watcher)[0] == 403
    made = str(post(world, "/api/v1/ledger/holds", asked, admin)[2]["hold"])
    url = f"{base(world)}/api/v1/ledger/holds"

    def held() -> set[str]:
        return {str(each["id"]) for each in cast("list[dict[str, object]]", call(url, None, admin)[2]["holds"])}

    assert made in held()
    assert post(world, f"/api/v1/ledger/holds/{made}/release", {}, admin)[0] == 200
    assert made not in held()
    assert post(world, "/api/v1/ledger/holds/hold_none/release", {}, admin)[0] == 409
    assert post(world, "/api/v1/ledger/prune", {"dry": True}, admin)[2]["done"] is False
    world.gateway.open_session("desk-bot", task="look", user="ada", groups=("support",), tenant="4")
    digests = cast(
        "list[str]", post(world, "/api/v1/ledger/digests", {"value": "4711", "person": "ada"}, admin)[2]["digests"]
    )
    assert [each.partition(":")[0] for each in digests] == ["hmac"]
    assert post(world, "/api/v1/files/versions", {"mount": "none", "path": "a"}, admin)[0] == 409
