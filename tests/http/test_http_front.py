"""Requests of an agent through the HTTP front: decided, sent with the credential, looked at, on record."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import urllib.request
from typing import cast

import httpx
import pytest
import requests

from bailiwick.gateway.wire import Json
from tests.http.conftest import SECRET, Desk
from tests.support.canary import leaks

pytestmark = pytest.mark.xdist_group("http")


def test_a_list_holds_the_items_of_the_scope_with_masks(desk: Desk) -> None:
    reply = desk.ask("GET", "/billing/invoices?customer_id=501")
    assert reply.status == 200
    items = cast("list[dict[str, object]]", reply.json["data"])
    assert [each["id"] for each in items] == [1, 3, 5]
    assert items[0]["email"] == "p***@mail.example"
    assert "card" not in items[0]
    assert "total" not in reply.json
    assert leaks(reply.body) == []
    assert "x-total-count" not in reply.headers


def test_a_value_of_the_session_is_filled_in(desk: Desk) -> None:
    assert desk.ask("GET", "/billing/invoices").status == 200
    assert desk.reached[-1]["query"] == "customer_id=501"


def test_another_customer_is_denied_and_told_what_is_allowed(desk: Desk) -> None:
    before = len(desk.reached)
    reply = desk.ask("GET", "/billing/invoices?customer_id=502")
    assert (reply.status, reply.code) == (403, "argument_not_granted")
    assert "query.customer_id" in str(reply.json["allowed"])
    assert reply.json["action"] == "invoices:read"
    record = next(each for each in desk.records() if each["id"] == reply.json["decision"])
    assert (record["decision"], record["code"]) == ("deny", "argument_not_granted")
    assert len(desk.reached) == before


def test_an_item_of_another_customer_is_not_shown(desk: Desk) -> None:
    assert desk.ask("GET", "/billing/invoices/1").json["total"] == 10
    reply = desk.ask("GET", "/billing/invoices/2")
    assert reply.status == 404
    assert leaks(reply.body) == []


def test_a_write_is_sent_as_it_was_checked_and_has_an_intent(desk: Desk) -> None:
    body = json.dumps({"customer_id": 501, "amount": 30.5, "note": "late"}).encode()
    reply = desk.ask("POST", "/billing/refunds", body, {"Idempotency-Key": "k1", "X-Other": "lost"})
    assert reply.status == 201
    sent = desk.reached[-1]
    assert json.loads(str(sent["body"])) == {
        "customer_id": 501,
        "amount": 30.5,
        "note": "late",
        "by": {"tenant": "acorn"},
    }
    headers = desk.sent_headers
    assert headers["idempotency-key"] == "k1"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert "x-other" not in headers
    kinds = [each["kind"] for each in desk.records() if each.get("actions") == ["billing:refund"]]
    assert {"intent", "outcome"} <= set(kinds)


@pytest.mark.parametrize(
    "body",
    [
        {"customer_id": 501, "amount": 501},
        {"customer_id": 502, "amount": 5},
        {"customer_id": 501, "amount": 450},
        {"customer_id": 501, "amount": 5, "by": {"tenant": "other"}},
        {"customer_id": 501, "amount": 5, "tags": ["x"]},
        {"customer_id": 501, "amount": 5, "other": 1},
        {"amount": "5"},
        {"customer_id": 501, "amount": True},
    ],
)
def test_a_write_outside_of_its_grant_never_reaches_the_api(desk: Desk, body: dict[str, object]) -> None:
    before = len(desk.reached)
    reply = desk.ask("POST", "/billing/refunds", json.dumps(body).encode())
    assert reply.status in (400, 403)
    assert reply.code in ("argument_not_granted", "protocol_violation")
    assert len(desk.reached) == before


def test_a_form_is_sent_in_its_one_spelling(desk: Desk) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert desk.ask("POST", "/billing/forms", b"text=a+b%26c&count=3", form).json == {"text": "a b&c", "count": "3"}
    assert desk.reached[-1]["body"] == "text=a%20b%26c&count=3"
    assert desk.ask("POST", "/billing/forms", b"text=a&count=10", form).status == 403
    assert desk.ask("POST", "/billing/forms", b'{"text": "a"}').status == 415


def test_routes_that_the_session_does_not_have_do_not_exist(desk: Desk) -> None:
    known = desk.ask("DELETE", "/billing/invoices/1")
    assert known.status == 405
    assert known.headers["allow"] == "GET"
    for target in ("/billing/nothing", "/other/invoices/1", "/billing/invoices/secret"):
        reply = desk.ask("GET", target)
        assert (reply.status, reply.code) == (404, "resource_unknown"), target
        assert "GET /billing/invoices" in str(reply.json["allowed"])
        assert "DELETE" not in str(reply.json["allowed"])


def test_events_pass_as_they_come(desk: Desk) -> None:
    with socket.create_connection(("127.0.0.1", desk.gateway.http_port), timeout=60) as plug:
        token = desk.session().token
        plug.sendall(
            f"GET /billing/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        found = b""
        while b"data: one" not in found:
            part = plug.recv(65536)
            assert part, found
            found += part
    assert b"text/event-stream" in found


def test_a_revoked_session_ends_in_the_middle_of_a_stream(desk: Desk) -> None:
    session = desk.new_session()
    with socket.create_connection(("127.0.0.1", desk.gateway.http_port), timeout=60) as plug:
        head = f"GET /billing/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {session.token}\r\n\r\n"
        plug.sendall(head.encode())
        found = b""
        while b"data: one" not in found:
            found += plug.recv(65536)
        desk.gateway.revoke(session)
        while part := plug.recv(65536):
            found += part
    assert not found.endswith(b"0\r\n\r\n")
    refused = desk.ask("GET", "/billing/invoices", token=session.token)
    assert (refused.status, refused.code) == (401, "session_revoked")


@pytest.mark.parametrize(
    ("stop", "what", "go", "status", "code"),
    [
        ("mount.close", {"mount": "billing"}, "mount.open", 503, "mount_closed"),
        ("agent.suspend", {"agent": "bot"}, "agent.resume", 403, "agent_suspended"),
        ("everything.suspend", dict[str, Json](), "everything.resume", 503, "everything_suspended"),
    ],
)
def test_what_is_suspended_ends_in_the_middle_of_a_stream(
    desk: Desk, stop: str, what: dict[str, Json], go: str, status: int, code: str
) -> None:
    session = desk.new_session()
    with socket.create_connection(("127.0.0.1", desk.gateway.http_port), timeout=60) as plug:
        head = f"GET /billing/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {session.token}\r\n\r\n"
        plug.sendall(head.encode())
        found = b""
        while b"data: one" not in found:
            found += plug.recv(65536)
        desk.gateway.admin.ask(stop, {**what, "reason": "tests"})
        try:
            while part := plug.recv(65536):
                found += part
            refused = desk.ask("GET", "/billing/invoices?customer_id=501", token=session.token)
            assert (refused.status, refused.code) == (status, code)
        finally:
            desk.gateway.admin.ask(go, what)
    assert not found.endswith(b"0\r\n\r\n")
    assert desk.ask("GET", "/billing/invoices?customer_id=501", token=session.token).status == 200


def test_what_is_too_long_breaks_off(desk: Desk) -> None:
    found = desk.until_closed("/billing/large")
    assert len(found) < 1_100_000
    assert not found.endswith(b"0\r\n\r\n")
    outcome = [each for each in desk.records() if each.get("code") == "bytes_exceeded"]
    assert outcome


def test_ceilings_on_items_count_what_is_shown(desk: Desk) -> None:
    reply = desk.ask("GET", "/billing/invoices?page=1", agent="reader")
    assert (reply.status, reply.code) == (403, "rows_exceeded")
    assert desk.ask("GET", "/billing/invoices/2", agent="reader").json == {"id": 2}


def test_headers_of_the_connection_and_cookies_are_not_passed_on(desk: Desk) -> None:
    reply = desk.ask("GET", "/billing/cookies")
    assert reply.headers["etag"] == '"1"'
    assert leaks(str(reply.headers)) == []


def test_errors_of_the_api_are_shown_only_where_everything_is(desk: Desk) -> None:
    told = desk.ask("GET", "/billing/invoices/99")
    assert told.status == 404
    assert leaks(told.body) == []
    assert desk.ask("GET", "/billing/plain").body == b"CANARY_PLAIN_1"
    hidden = desk.ask("GET", "/billing/plain", agent="reader")
    assert hidden.status == 404
    assert leaks(hidden.body) == []


def test_the_gateways_own_rejection_is_not_the_agents(desk: Desk) -> None:
    reply = desk.ask("GET", "/billing/unauthorized")
    assert (reply.status, reply.code) == (502, "backend_unavailable")


def test_what_is_coded_is_withheld(desk: Desk) -> None:
    assert desk.ask("GET", "/billing/packed").code == "result_withheld"


@pytest.mark.parametrize("how", ["header", "body", "text"])
def test_a_credential_never_comes_back(desk: Desk, how: str) -> None:
    for agent in ("bot", "reader"):
        reply = desk.ask("GET", f"/billing/echo-credential/{how}", agent=agent)
        assert reply.status in (502, 404)
        assert SECRET not in str(reply)


def test_a_credential_never_comes_back_in_a_stream(desk: Desk) -> None:
    found = desk.until_closed("/billing/echo-credential/stream")
    assert SECRET.encode()[:8] not in found.replace(b"\r\n1\r\n", b"")
    assert not found.endswith(b"0\r\n\r\n")


def test_a_redirect_leads_below_the_mount_or_nowhere(desk: Desk) -> None:
    reply = desk.ask("GET", "/billing/redirect/below")
    assert (reply.status, reply.headers["location"]) == (302, "/billing/invoices/1")
    for where in ("outside", "other", "scheme", "dots", "backslash", "user", "local", "script", "file"):
        reply = desk.ask("GET", f"/billing/redirect/{where}")
        assert (reply.status, reply.code) == (502, "result_withheld"), where


def test_credentials_of_every_kind_are_added(desk: Desk) -> None:
    assert desk.ask("GET", "/basic/whoami").status == 200
    pair = base64.b64encode(f"gateway:{SECRET}".encode()).decode()
    assert desk.sent_headers["authorization"] == f"Basic {pair}"
    assert desk.ask("GET", "/keyed/whoami?page=1").status == 200
    assert desk.reached[-1]["query"] == f"page=1&api_key={SECRET}"
    assert "authorization" not in desk.sent_headers
    assert desk.ask("GET", "/signed/whoami?page=1").status == 200
    assert desk.sent_headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert SECRET not in str(desk.reached[-1])


def test_an_access_token_is_fetched_kept_and_fetched_anew_when_it_is_refused(desk: Desk) -> None:
    before = len(desk.reached)
    for _ in range(2):
        assert desk.ask("GET", "/tokens/whoami").json == {"known": True}
    told = [(each["path"], cast("dict[str, str]", each["headers"])["authorization"]) for each in desk.reached[before:]]
    assert [path for path, _ in told] == ["/token", "/v2/whoami", "/token", "/v2/whoami", "/v2/whoami"]
    assert told[-1][1] == "Bearer CANARY_ACCESS_TOKEN2"
    assert desk.reached[before]["body"] == "grant_type=client_credentials&scope=read"


def test_an_api_on_a_private_address_needs_the_mount_to_name_it(desk: Desk) -> None:
    before = len(desk.reached)
    reply = desk.ask("GET", "/inside/whoami")
    assert (reply.status, reply.code) == (502, "backend_unavailable")
    assert "networks" in str(reply.json["detail"])
    assert len(desk.reached) == before
    assert desk.ask("GET", "/named/whoami").status == 200


def test_clients_that_people_use_work(desk: Desk) -> None:
    url = f"http://127.0.0.1:{desk.gateway.http_port}/billing/invoices"
    bearer = {"Authorization": f"Bearer {desk.session().token}"}
    refund = {"customer_id": 501, "amount": 1}
    with httpx.Client(headers=bearer, timeout=60) as client:
        assert len(client.get(url, params={"customer_id": 501}).json()["data"]) == 3
        assert client.post(url.replace("invoices", "refunds"), json=refund).status_code == 201
    assert len(requests.get(url, {"customer_id": 501}, headers=bearer, timeout=60).json()["data"]) == 3
    assert requests.post(url.replace("invoices", "refunds"), json=refund, headers=bearer, timeout=60).status_code == 201
    with urllib.request.urlopen(urllib.request.Request(url, headers=bearer), timeout=60) as answer:
        assert len(json.load(answer)["data"]) == 3
    if shutil.which("curl"):
        given = [f"Authorization: {bearer['Authorization']}", "Content-Type: application/json"]
        marks = [part for line in given for part in ("-H", line)]
        command = ["curl", "-sS", "--fail", *marks, "-d", json.dumps(refund), url.replace("invoices", "refunds")]
        told = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert json.loads(told.stdout)["refunded"]["amount"] == 1, told.stderr


def test_nothing_of_what_is_hidden_is_in_ledger_or_log(desk: Desk) -> None:
    told = json.dumps(desk.records()) + desk.gateway.log()
    assert leaks(told) == []
    assert SECRET not in told
    assert desk.session().token not in told
