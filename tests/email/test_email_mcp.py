"""`send` by MCP, end to end: templates and texts, whom they reach, what the server got, what the ledger tells."""

from __future__ import annotations

from typing import cast

import pytest

from tests.email.conftest import Desk

pytestmark = pytest.mark.xdist_group("email")
VALUES: dict[str, object] = {"number": "R-1", "name": "Ann <b>", "lines": ["one", "two"]}
INVOICE: dict[str, object] = {"template": "invoice", "variables": VALUES}


def test_a_template_is_filled_in_and_goes_to_the_customer_of_the_session(desk: Desk) -> None:
    client = desk.client("bot")
    done = client.call("send", **INVOICE)
    assert done.code == "", done.text
    assert done.data["delivery"] == "accepted"
    (got,) = desk.taken()
    assert (got.sender, got.recipients) == ("support@acme.example", ("ann@customer.example",))
    assert got.message["From"] == "Acme Support <support@acme.example>"
    assert got.message["Subject"] == "Invoice R-1"
    assert got.text() == "Dear Ann <b>,\n1. one\n2. two\nhttps://pay.acme.example/R-1\n"
    assert "<p>Dear Ann &lt;b&gt;</p>" in got.text("html")


def test_the_tool_tells_of_the_templates_of_the_session_and_of_no_other(desk: Desk) -> None:
    tool = desk.client("bot").tools()["send"]
    told = str(tool)
    assert "`number` string of at most 20 characters" in told
    assert "`plain` (no variables)" in told
    assert "other" not in str(tool["description"])
    assert "CANARY" not in told
    schema = cast("dict[str, dict[str, object]]", tool["inputSchema"])
    assert list(schema["properties"]) == ["template", "variables"]
    assert "send" not in desk.client("none").tools()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"template": "other"}, "template"),
        ({**INVOICE, "to": ["eve@evil.example"]}, "to"),
        ({**INVOICE, "cc": ["eve@evil.example"]}, "cc"),
        ({"subject": "x", "body": "y"}, "subject"),
        ({"template": "invoice", "variables": {"number": "R-1"}}, "missing"),
        ({"template": "plain", "variables": {"number": "R-1"}}, "does not have"),
        ({**INVOICE, "subject": "x"}, "subject"),
        ({"template": "invoice", "variables": {**VALUES, "number": "x" * 21}}, "more than 20"),
        ({"template": "invoice", "variables": {**VALUES, "lines": ["x"] * 6}}, "more than 5"),
        ({"template": "invoice", "variables": {**VALUES, "note": "see http://evil.example"}}, "links"),
        (
            {"template": "invoice", "variables": {**VALUES, "number": "R\r\nBcc: e@v.example"}},
            "seen",
        ),
        ({**INVOICE, "external": 0}, "external"),
        ({**INVOICE, "message": {"subject": "x"}}, "message"),
    ],
)
def test_what_the_templates_and_the_grant_do_not_allow_is_refused(
    desk: Desk, given: dict[str, object], said: str
) -> None:
    denied = desk.client("bot").call("send", **given)
    assert denied.code in ("argument_not_granted", "resource_unknown")
    assert said in denied.text
    assert desk.taken() == []


@pytest.mark.parametrize(
    ("agent", "given", "allowed"),
    [
        (
            "bot",
            {**INVOICE, "to": ["eve@evil.example"]},
            "`template` is invoice or plain, `to` is the session's customer_email",
        ),
        (
            "writer",
            {"to": ["a@elsewhere.test"], "subject": "x", "body": "y"},
            "`to` looks like `*.example`, `cc` looks like `*@acme.example`, `bcc` looks like `*@acme.example`, "
            "`reply_to` looks like `*@acme.example`, `subject`, `body`, `html`, `links` looks like `*acme.example`, "
            "`recipients` is at most 5",
        ),
    ],
)
def test_a_denial_says_which_messages_would_do_and_nothing_that_only_a_deny_names(
    desk: Desk, agent: str, given: dict[str, object], allowed: str
) -> None:
    client = desk.client(agent)
    denied = client.call("send", **given)
    assert denied.data["allowed"] == allowed
    assert "press.example" not in denied.text
    twin = INVOICE if agent == "bot" else {**given, "to": ["a@ok.example"]}
    assert client.call("send", **twin).code == ""
    assert len(desk.taken()) == 1


def test_a_text_is_sent_where_the_policy_allows_it_and_bcc_stands_nowhere(desk: Desk) -> None:
    said = {
        "to": ["Bo Li <bo@Partner.example>"],
        "bcc": "chief@acme.example",
        "reply_to": ["team@acme.example"],
        "subject": "Grüße",
        "body": "Hallo,\n.\nsee https://www.acme.example/x\n",
    }
    done = desk.client().call("send", **said)
    assert done.code == "", done.text
    (got,) = desk.taken()
    assert got.recipients == ("bo@partner.example", "chief@acme.example")
    assert (got.message["To"], got.message["Reply-To"]) == ("bo@partner.example", "team@acme.example")
    assert got.message["Bcc"] is None
    assert b"chief" not in got.data
    assert (got.message["Subject"], got.text()) == ("Grüße", "Hallo,\n.\nsee https://www.acme.example/x\n")


def test_a_deny_and_a_ceiling_on_recipients_hold(desk: Desk) -> None:
    said = {"subject": "x", "body": "y"}
    client = desk.client()
    assert client.call("send", **{**said, "to": ["a@press.example"]}).code == "action_not_granted"
    assert client.call("send", **{**said, "to": ["a@press.example", "b@ok.example"]}).code != ""
    four = [f"{name}@ok.example" for name in "abcd"]
    assert client.call("send", **{**said, "to": four}).code == "batch_exceeded"
    assert client.call("send", **{**said, "to": [*four, "e@ok.example", "f@ok.example"]}).code == "argument_not_granted"
    assert desk.taken() == []
    assert client.call("send", **{**said, "to": four[:3]}).code == ""
    assert len(desk.taken()) == 1


def test_a_refused_recipient_means_that_nobody_gets_it(desk: Desk) -> None:
    said = {"subject": "x", "body": "y", "to": ["a@ok.example", "b@refused.example"]}
    denied = desk.client().call("send", **said)
    assert denied.code == "message_not_delivered"
    assert "b@refused.example" in denied.text
    assert "CANARY" not in denied.text
    assert desk.taken() == []
    assert desk.client().call("send", **{**said, "to": ["a@ok.example"]}).code == ""
    desk.taken()


def test_a_lost_connection_is_unknown_and_the_message_is_not_sent_again(desk: Desk) -> None:
    denied = desk.client().call("send", subject="x", body="DROP ME", to=["a@ok.example"])
    assert denied.code == "message_unknown"
    assert len(desk.taken()) == 1
    details = [cast("dict[str, object]", each["detail"]) for each in desk.records() if each["kind"] == "outcome"]
    assert details[-1]["delivery"] == "unknown"


def test_the_ledger_tells_of_a_message_where_it_went_and_not_what_it_said(desk: Desk) -> None:
    desk.client().call("send", subject="CANARY-subject", body="CANARY-body", to=["a@ok.example"])
    desk.taken()
    told = desk.records()
    assert "CANARY" not in str(told)
    last = [each for each in told if each["kind"] == "outcome"][-1]
    detail = cast("dict[str, object]", last["detail"])
    assert (detail["recipients"], detail["external"], detail["domains"]) == (1, 1, ["ok.example"])
    assert detail["delivery"] == "accepted"
    assert last["actions"] == ["email:send"]
