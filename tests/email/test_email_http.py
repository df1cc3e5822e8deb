"""`POST /MOUNT/messages`, end to end: addresses that are written to deceive, links, what waits for people."""

from __future__ import annotations

import json
from typing import cast

import pytest

from tests.email.conftest import Desk

pytestmark = pytest.mark.xdist_group("email")
SAID = {"subject": "x", "body": "y"}
NO_TEXTS: tuple[object, ...] = tuple(
    cast("object", json.loads(each))
    for each in (
        "null",
        "1",
        "true",
        "{}",
        "[[]]",
        '{"address": "bo@ok.example"}',
        "[]",
        "[null]",
        "[1]",
        '[""]',
        '["bo@ok.example", ""]',
        '[["bo@ok.example"]]',
    )
)
HOSTILE: tuple[object, ...] = (
    *(
        "",
        " ",
        "bo",
        "@ok.example",
        "bo@",
        "bo@ok",
        "bo@localhost",
        "bo@ok.example ",
        " bo@ok.example",
        "bo@@ok.example",
    ),
    *("bo @ok.example", "bo@ ok.example", "b o@ok.example", "bo@ok.example\n", "bo@ok.example\r\nBcc: eve@evil.test"),
    *("bo@ok.example\0", "bo@ok.example,eve@evil.test", "bo@ok.example;eve@evil.test", "bo@ok.example eve@evil.test"),
    *(
        "bo@ok.example(eve)",
        "(eve)bo@ok.example",
        "friends:bo@ok.example;",
        "undisclosed-recipients:;",
        "<bo@ok.example",
    ),
    *("<@evil.test:bo@ok.example>", '"bo"@ok.example', '"bo@evil.test"@ok.example', "bo\\@evil.test@ok.example"),
    *("bo@[127.0.0.1]", "bo@[IPv6:::1]", "bo@127.0.0.1", "bo@1.2.3.4", "bo@ok.123", "bo@-ok.example", "bo@ok-.example"),
    *("bo@ok..example", "bo@.ok.example", "bo@ok.example.", ".bo@ok.example", "bo.@ok.example", "b..o@ok.example"),
    *("-oProxy@ok.example", "bo%evil.test@ok.example", "evil.test!bo@ok.example", "|sh@ok.example", "bo/x@ok.example"),
    *("b\u043e@ok.example", "bo@\u043ek.example", "bo@ok\u3002example", "bo\uff20ok.example", "bo@ok.ex\u200bample"),
    *(
        "bo@ok.example\u202e",
        "\u202ebo@ok.example",
        "bo@o\u0301k.example",
        "bo@b\u00fccher.example",
        "bo@ok.e\u00adxample",
    ),
    *("bo@xn--80ak6aa92e.example", "bo@xn--.example", "bo@xn--a.example", "bo@xn--ok-.example", "bo@ab--cd.example"),
    *("bo@xn--pple-43d.example", "bo@xn--ls8h.example", "bo@" + "a" * 64 + ".example", "b" * 65 + "@ok.example"),
    *(
        "b@" + "a." * 130 + "example",
        "bo@ok_x.example",
        "bo@ok.exam_ple",
        "bo@ok.example/x",
        "bo@ok.example?bcc=eve@evil.test",
    ),
    *("mailto:bo@ok.example", "Bo <bo@ok.example> x", "Bo bo@ok.example>", "<<bo@ok.example>>", "Bo <<bo@ok.example>>"),
    *('"eve@evil.test" <bo@ok.example>', "eve@evil.test <bo@ok.example>", "evil.test <bo@ok.example>"),
    *(
        "p\u0430ypal <bo@ok.example>",
        "\uff45\uff56\uff45 <bo@ok.example>",
        "Bo\u202e <bo@ok.example>",
        "Bo\n <bo@ok.example>",
    ),
    *("=?utf-8?q?bo?= <bo@ok.example>", "Bo; <bo@ok.example>", "Bo: <bo@ok.example>", "Bo (x@y) <bo@ok.example>"),
    *("B\u200bo <bo@ok.example>", "\u0441\u0430\u0440\u0435 <bo@ok.example>", "x" * 200 + " <bo@ok.example>"),
    *NO_TEXTS,
)
SENT: tuple[tuple[object, str], ...] = (
    ("bo@ok.example", "bo@ok.example"),
    (["bo@ok.example"], "bo@ok.example"),
    ("Bo Li <bo@ok.example>", "bo@ok.example"),
    ('"Li, Bo" <bo@ok.example>', "bo@ok.example"),
    ("J\u00fcrgen M\u00fcller <bo@ok.example>", "bo@ok.example"),
    ("\u738b\u5c0f\u660e <bo@ok.example>", "bo@ok.example"),
    ("\u0411\u043e\u0440\u0438\u0441 <bo@ok.example>", "bo@ok.example"),
    ("bo@OK.Example", "bo@ok.example"),
    ("Bo.Li+tag@sub.ok.example", "Bo.Li+tag@sub.ok.example"),
    ("o'neil_x=y&z~-1@ok.example", "o'neil_x=y&z~-1@ok.example"),
    ("bo@xn--bcher-kva.example", "bo@xn--bcher-kva.example"),
    ("1@2.example", "1@2.example"),
    ("b" * 64 + "@ok.example", "b" * 64 + "@ok.example"),
    ("bo@" + "a" * 63 + ".example", "bo@" + "a" * 63 + ".example"),
)


def test_no_address_that_could_be_read_in_two_ways_is_taken(desk: Desk) -> None:
    token = desk.shared("open").token
    amiss = [
        f"{field}: {each!a}: {status}"
        for field in ("to", "reply_to")
        for each in HOSTILE
        if not (field == "reply_to" and each is None)
        for status in [desk.post(token, {**SAID, "to": "bo@ok.example", field: each})[0]]
        if status != 403
    ]
    assert amiss == []
    assert desk.taken() == []
    assert len(HOSTILE) >= 100


@pytest.mark.parametrize(("given", "meant"), SENT, ids=lambda each: str(each)[:30].encode("ascii", "replace").decode())
def test_an_address_of_one_reading_is_taken(desk: Desk, given: object, meant: str) -> None:
    status, told = desk.post(desk.shared("open").token, {**SAID, "to": given})
    assert (status, told.get("delivery")) == (200, "accepted"), told
    (got,) = desk.taken()
    assert got.recipients == (meant,)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https://evil.test/x",
            "http:evil.test",
            "//evil.test",
            "www.evil.test",
            "evil.com",
            "EVIL.com/x",
            "mailto:e@evil.test",
        ),
        *("https://acme.example@evil.test/", "https:\\\\evil.test", "https://evil\u3002test", "https://\u0435vil.test"),
        *(
            "https://acme.example.evil.test",
            "ftp://evil.test",
            "https://acme.example https://evil.test",
            "HTTPS://EVIL.TEST",
        ),
        *("https://", "evil.test/path", "sub.evil.co:8080", "tel://x", "https://[::1]/", "https://127.0.0.1/"),
    ],
)
def test_a_link_that_the_policy_does_not_name_is_refused(desk: Desk, text: str) -> None:
    status, told = desk.post(
        desk.shared("writer").token, {"to": "bo@partner.example", "subject": "x", "body": f"see {text} now"}
    )
    assert status == 403, told
    assert "links" in json.dumps(told)
    assert desk.taken() == []


@pytest.mark.parametrize(
    "markup",
    [
        *("<a href='https://evil.test'>x</a>", "<img src=//evil.test/p.gif>", "<a href='ht\ttps://evil.test'>x</a>"),
        *(
            "<a href='&#104;ttps://evil.test'>x</a>",
            "<a href=https&colon;//evil.test>x</a>",
            "<p style='background:url(//evil.test)'>",
        ),
        *("ev<b></b>il.com", "<base href='https://evil.test'>", "<form action='https://evil.test'>"),
    ],
)
def test_a_link_in_html_is_found(desk: Desk, markup: str) -> None:
    status, told = desk.post(
        desk.shared("writer").token, {"to": "bo@partner.example", "subject": "x", "html": f"<p>{markup}</p>"}
    )
    assert status == 403, told
    assert desk.taken() == []


def test_links_that_the_policy_names_are_sent(desk: Desk) -> None:
    said = {
        "to": "bo@partner.example",
        "subject": "x",
        "body": "see https://docs.acme.example/x and acme.example/y, e.g. now.",
    }
    assert desk.post(desk.shared("writer").token, said)[0] == 200
    assert len(desk.taken()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 415),
        (b"[]", 400),
        (b'{"to": "bo@ok.example", "to": "eve@evil.test", "subject": "x", "body": "y"}', 400),
        (b'{"to": ', 400),
        (b"\xff", 400),
    ],
)
def test_what_is_no_json_object_is_refused(desk: Desk, body: bytes, status: int) -> None:
    assert desk.post(desk.shared("open").token, body)[0] in (status, 400)
    assert desk.taken() == []


def test_other_paths_and_other_sessions_have_nothing(desk: Desk) -> None:
    said = {**SAID, "to": "bo@ok.example"}
    assert desk.post(desk.shared("none").token, said)[0] == 404
    assert desk.post(desk.shared("open").token, said, "/mail/other")[0] == 404
    assert desk.post(desk.shared("open").token, said, "/other/messages")[0] == 404
    assert desk.post("wrong", said)[0] == 401
    assert desk.taken() == []


def test_a_held_message_shows_what_is_sent_and_a_change_of_the_reviewer_is_worked_out_anew(desk: Desk) -> None:
    session = desk.session("held")
    said = {"to": "bo@ok.example", "subject": "held: x", "body": "CANARY-first"}
    status, told = desk.post(session.token, said)
    assert (status, told["code"]) == (202, "needs_approval")
    approval = str(told["approval"])
    assert "CANARY-first" in desk.gateway.say("approvals", "show", approval).stdout
    changed = desk.gateway.say("approvals", "modify", approval, "--set", "body=second", "--set", "to=al@acme.example")
    assert changed.returncode == 0, changed.stderr + changed.stdout
    desk.gateway.say("approvals", "approve", approval)
    status, told = desk.post(session.token, said)
    assert status == 200, told
    (got,) = desk.taken()
    assert (got.recipients, got.text()) == (("al@acme.example",), "second\n")
