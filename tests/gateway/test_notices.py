"""Notices: signed, retried, sent once, never held up; what agents wrote is plain text wherever it arrives."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from gateway_rig import Hand, Listed
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bailiwick.errors import ConfigError
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.notices.channels import Channel, read_channels
from bailiwick.gateway.notices.notices import Notices, Way, waits
from bailiwick.gateway.notices.sending import Came, sender_of
from bailiwick.gateway.notices.store import Outbox, Outgoing
from bailiwick.gateway.notices.text import as_blocks, as_data, as_mail, plain, signed
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.notice import Notice
from bailiwick.model.policy import SecretRef
from tests.support.postgres import free_port

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in range(3)]
EVIL = (
    "<!channel> <https://evil.example|x>\r\nBcc: eve@evil.example\r\n\r\n*bold* \u202egnp\x1b[2J https://evil.example"
)
PAGE = "/console/approvals/apr_1"
NOTICE = Notice("approval", "apr_1", "an approval waits", ("agent: bot", EVIL), PAGE, "apr_1:held")
ALL = frozenset(("approval", "elevation", "limit", "quarantine", "suspension", "policy", "review", "finding", "test"))


@dataclass
class Hook:
    """A real HTTP server that takes webhooks; `answers` are the statuses to answer with, then 204."""

    url: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    answers: list[int] = field(default_factory=list[int])
    arrived: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Taker(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the standard library
            """Say nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.taken.append((dict(self.headers.items()), body))
            found.arrived.set()
            status = found.answers.pop(0) if found.answers else 204
            self.send_response(status)
            if status == 302:
                self.send_header("location", found.url + "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join(60)
    server.server_close()


class Mailbox:
    """What a real mail server took."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.refuse = False

    async def handle_DATA(  # noqa: N802  # its name in aiosmtpd
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        if self.refuse:
            return "451 not now"
        self.taken.append(envelope)
        return "250 taken"

    def mails(self) -> list[EmailMessage]:
        found = [cast("bytes", each.content) for each in self.taken]
        return [email.message_from_bytes(each, policy=email.policy.default) for each in found]


@contextmanager
def mail_server() -> Generator[tuple[Mailbox, str]]:
    box = Mailbox()
    port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"smtp://127.0.0.1:{port}"
    finally:
        controller.stop()


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    opened = await open_state(tmp_path / "state.db")
    yield opened
    await opened.close()


def channel(name: str, kind: str, url: str, *secrets: str) -> Channel:
    sender, to = ("bw@corp.example", ("ops@corp.example", "ann@corp.example")) if kind == "smtp" else ("", ())
    return Channel(name, kind, SecretRef(url), ALL, tuple(map(SecretRef, secrets)), sender, to)  # pyright: ignore[reportArgumentType]  # one of the kinds


def way(made: Channel) -> Way:
    return Way(made, sender_of(made, {}, Path()))


def notices(state: State, *ways: Way, clock: Hand | None = None, ledger: Listed | None = None) -> Notices:
    clock = clock or Hand(utc_now())
    recorder = Recorder(ledger or Listed(), clock, Ulids())
    return Notices(Outbox(state), ways, clock, recorder, lambda: "https://gw.example/")


async def told(sending: Notices, name: str, *given: Notice) -> None:
    """Tell, and send what is due."""
    for notice in given:
        sending.tell(notice)
    await sending.stop()  # stores what was told
    await sending.send_due(name)


async def states(state: State) -> list[tuple[str, int]]:
    return [(row.state, row.attempts) for row in await Outbox(state).list()]


async def test_webhook_is_verified_by_the_standards_own_library_with_each_of_its_keys(state: State, hook: Hook) -> None:
    sending = notices(state, way(channel("ops", "webhook", hook.url, *SECRETS[:2])))
    await told(sending, "ops", NOTICE)
    ((headers, body),) = hook.taken
    for secret in SECRETS[:2]:
        assert Webhook(secret).verify(body, headers)["data"]["subject"] == "apr_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[2]).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(body.replace(b"apr_1", b"apr_2"), headers)
    found = json.loads(body)
    assert found["type"] == "bailiwick.approval"
    assert found["data"]["link"] == "https://gw.example/console/approvals/apr_1"
    assert headers["webhook-id"].startswith("msg_")


async def test_failed_webhook_is_sent_again_with_the_same_id_until_it_arrives(state: State, hook: Hook) -> None:
    hook.answers = [500, 302, 429]
    clock = Hand(utc_now())
    sending = notices(state, way(channel("ops", "webhook", hook.url, SECRETS[0])), clock=clock)
    await told(sending, "ops", NOTICE)
    for attempt in range(3):
        assert len(hook.taken) == attempt + 1
        await sending.send_due("ops")  # not due yet
        assert len(hook.taken) == attempt + 1
        clock.now += waits[attempt]
        await sending.send_due("ops")
    assert len({headers["webhook-id"] for headers, _ in hook.taken}) == 1
    assert await states(state) == [("SENT", 4)]
    clock.move(days=2)
    await sending.send_due("ops")
    assert len(hook.taken) == 4


async def test_what_never_arrives_is_given_up_on_record(state: State, hook: Hook) -> None:
    hook.answers = [500] * 50
    clock, ledger = Hand(utc_now()), Listed()
    sending = notices(state, way(channel("ops", "webhook", hook.url, SECRETS[0])), clock=clock, ledger=ledger)
    await told(sending, "ops", NOTICE)
    for each in waits:
        clock.now += each
        await sending.send_due("ops")
    assert await states(state) == [("FAILED", len(waits) + 1)]
    (record,) = ledger.records
    assert (record.kind, record.detail["channel"], record.detail["subject"]) == ("notice.failed", "ops", "apr_1")
    assert hook.url not in repr(record)


async def test_receiver_that_is_gone_is_not_asked_again(state: State, hook: Hook) -> None:
    hook.answers = [410]
    sending = notices(state, way(channel("ops", "webhook", hook.url, SECRETS[0])))
    await told(sending, "ops", NOTICE)
    assert await states(state) == [("FAILED", 1)]


async def test_one_occasion_is_sent_once_however_often_it_is_told_also_after_a_restart(
    state: State, hook: Hook
) -> None:
    made = way(channel("ops", "webhook", hook.url, SECRETS[0]))
    await told(notices(state, made), "ops", NOTICE, NOTICE)
    await told(notices(state, made), "ops", NOTICE)
    assert len(hook.taken) == 1
    await told(notices(state, made), "ops", Notice("approval", "apr_2", "another", once="apr_2:held"))
    assert len(hook.taken) == 2


@pytest.mark.parametrize(("kind", "expected"), [("webhook", "SENT"), ("slack", "UNKNOWN")])
async def test_what_was_on_its_way_when_the_gateway_died_is_sent_again_only_where_it_is_known_again(
    state: State, hook: Hook, kind: str, expected: str
) -> None:
    made = way(channel("ops", kind, hook.url, *SECRETS[: kind == "webhook"]))
    now = utc_now()
    await Outbox(state).put([Outgoing("msg_1", "ops", NOTICE, now, now, 1, "SENDING")])
    ledger = Listed()
    sending = notices(state, made, ledger=ledger)
    await sending.start()
    await sending.stop()
    await sending.send_due("ops")
    assert [found for found, _ in await states(state)] == [expected]
    assert len(hook.taken) == (1 if expected == "SENT" else 0)
    assert ledger.kinds() == ([] if expected == "SENT" else ["notice.failed"])


async def test_doubtful_sending_is_repeated_only_where_it_is_known_again(state: State) -> None:
    async def unheard(row: Outgoing, link: str, now: object) -> Came:
        del row, link, now
        return Came("unheard", "no answer in time")

    for kind, expected in (("webhook", "WAITING"), ("smtp", "WAITING"), ("slack", "UNKNOWN"), ("apprise", "UNKNOWN")):
        made = channel(kind, kind, "https://nowhere.example")
        await told(notices(state, Way(made, unheard)), kind, NOTICE)
        (row,) = [each for each in await Outbox(state).list() if each.channel == kind]
        assert row.state == expected


async def test_telling_waits_for_nobody_and_a_slow_channel_holds_up_no_other(state: State, hook: Hook) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def stuck(row: Outgoing, link: str, now: object) -> Came:
        del row, link, now
        begun.set()
        await never.wait()
        return Came("sent")

    sending = notices(
        state,
        Way(channel("slow", "slack", "https://x.example"), stuck),
        way(channel("ops", "webhook", hook.url, SECRETS[0])),
    )
    await sending.start()
    sending.tell(NOTICE)
    await asyncio.wait_for(begun.wait(), 60)
    assert await asyncio.to_thread(hook.arrived.wait, 60)
    await sending.stop()
    assert {row.channel: row.state for row in await Outbox(state).list()}["slow"] == "SENDING"


async def test_only_those_are_told_who_want_to_know(state: State, hook: Hook) -> None:
    quiet = Channel("ops", "webhook", SecretRef(hook.url), frozenset(("limit",)), (SecretRef(SECRETS[0]),))
    await told(notices(state, way(quiet)), "ops", NOTICE)
    assert hook.taken == []
    await told(notices(state, way(quiet)), "ops", Notice("limit", "bot", "a limit is close"))
    assert len(hook.taken) == 1


async def test_mail_arrives_as_plain_text_and_no_header_comes_of_what_an_agent_wrote(state: State) -> None:
    with mail_server() as (box, url):
        made = channel("mail", "smtp", url)
        await told(notices(state, way(made)), "mail", Notice("approval", "apr_1", EVIL, (EVIL,), PAGE))
        (mail,) = box.mails()
        assert box.taken[0].rcpt_tos == ["ops@corp.example", "ann@corp.example"]
    assert mail["Bcc"] is None
    assert mail["Subject"].startswith("[bailiwick] <!channel>")
    assert [mail.get_content_type(), mail["Auto-Submitted"]] == ["text/plain", "auto-generated"]
    text = mail.get_content()
    assert "https://gw.example/console/approvals/apr_1" in text
    assert ("https://evil" in text, "\x1b" in text, "\u202e" in text, "\nBcc" in text) == (False, False, False, False)


async def test_mail_that_is_refused_for_now_is_sent_again_with_the_same_id(state: State) -> None:
    with mail_server() as (box, url):
        clock, made = Hand(utc_now()), channel("mail", "smtp", url)
        box.refuse = True
        sending = notices(state, way(made), clock=clock)
        await told(sending, "mail", NOTICE)
        assert (await states(state), box.taken) == ([("WAITING", 1)], [])
        box.refuse = False
        clock.now += waits[0]
        await sending.send_due("mail")
        (mail,) = box.mails()
    (row,) = await Outbox(state).list()
    assert (row.state, mail["Message-ID"]) == ("SENT", f"<{row.id}@corp.example>")


async def test_mail_server_beyond_this_machine_is_spoken_to_by_tls_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = utc_now()
    with mail_server() as (box, url):
        made = channel("mail", "smtp", url)

        def elsewhere(_host: str) -> bool:
            return False

        monkeypatch.setattr("bailiwick.gateway.notices.sending._is_here", elsewhere)
        came = await sender_of(made, {}, Path())(Outgoing("msg_1", "mail", NOTICE, now, now), "", now)
        assert (came.how != "sent", box.taken) == (True, [])
        monkeypatch.undo()
        came = await sender_of(made, {}, Path())(Outgoing("msg_1", "mail", NOTICE, now, now), "", now)
        assert (came.how, len(box.taken)) == ("sent", 1)


async def test_slack_gets_plain_texts_and_a_button_to_the_console(state: State, hook: Hook) -> None:
    await told(notices(state, way(channel("chat", "slack", hook.url))), "chat", NOTICE)
    ((_, body),) = hook.taken
    found = json.loads(body)
    kinds = [text["type"] for text in _texts(found["blocks"])]
    assert kinds == ["plain_text"] * len(kinds)
    (button,) = found["blocks"][-1]["elements"]
    assert button["url"] == "https://gw.example/console/approvals/apr_1"
    assert "https://evil" not in body.decode()
    assert "<" not in found["text"]


async def test_apprise_sends_to_what_it_knows(state: State, hook: Hook) -> None:
    made = channel("rest", "apprise", hook.url.replace("http://", "json://"))
    await told(notices(state, way(made)), "rest", NOTICE)
    ((_, body),) = hook.taken
    assert json.loads(body)["title"] == "an approval waits"
    assert "https://evil" not in body.decode()


async def test_test_notice_says_for_each_channel_whether_it_arrived(state: State, hook: Hook) -> None:
    hook.answers = [403]
    ways = [way(channel(name, "webhook", hook.url, SECRETS[0])) for name in ("a", "b")]
    came = await notices(state, *ways).test()
    assert sorted((each.how, each.reason) for each in came.values()) == [("failed", "it answers 403"), ("sent", "")]
    assert await states(state) == []
    with pytest.raises(ConfigError, match="there is no channel `c`"):
        await notices(state, *ways).test("c")


def _texts(value: object) -> Iterator[Mapping[str, str]]:
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        if isinstance(known.get("text"), str):
            yield cast("Mapping[str, str]", known)
        for each in known.values():
            yield from _texts(each)
    if isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _texts(each)


@given(st.text(max_size=300))
def test_whatever_is_written_comes_out_as_one_plain_line(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert "://" not in shown
    notice = Notice("approval", text, text, (text,))
    now = utc_now()
    assert json.loads(as_data(notice, "", now))["data"]["title"].isprintable()
    assert json.loads(as_blocks(notice, ""))["mrkdwn"] is False
    mail = as_mail(notice, "", "msg_1", "a@b.example", ["c@d.example"], now)
    read = email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)
    assert {name.lower() for name in read} == {name.lower() for name in mail}


@given(st.binary(max_size=200), st.binary(min_size=24, max_size=64))
def test_signature_is_the_librarys(body: bytes, key: bytes) -> None:
    now = utc_now()
    text = base64.b64encode(body)
    headers = dict(signed("msg_1", now, text, [key]))
    theirs = Webhook(key).sign("msg_1", now.replace(microsecond=0), text.decode())
    assert headers["webhook-signature"] == theirs


GOOD = """
notify:
  ops: {webhook: "https://hooks.corp.example/x", secret: ["${NEW}", "${OLD}"], on: [approval, suspension]}
  chat: {slack: "${SLACK}"}
  mail: {smtp: "smtp://mail.corp.example", from: bw@corp.example, to: ops@corp.example}
"""


def read(text: str) -> Mapping[str, Channel]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    return read_channels(Path("gateway.yaml"), root)


def test_channels_are_read_with_references_only() -> None:
    found = read(GOOD)
    assert found["ops"].on == {"approval", "suspension"}
    assert [each.text for each in found["ops"].secrets] == ["${NEW}", "${OLD}"]
    assert "quarantine" in found["chat"].on
    assert found["mail"].recipients == ("ops@corp.example",)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ('{slack: "https://hooks.slack.com/services/T0/B0/CANARY"}', "is not a reference"),
        ('{webhook: "https://x.example", secret: whsec_CANARY}', "is not a reference"),
        ('{webhook: "https://user:CANARY@x.example", secret: "${S}"}', "is not a reference"),
        ('{webhook: "https://x.example"}', "to sign with"),
        ('{slack: "${S}", secret: "${S}"}', "to sign with"),
        ('{smtp: "${S}", from: a@b.example}', "`from` and `to`"),
        ('{smtp: "${S}", from: "a@b.example\\nBcc: x@y.example", to: a@b.example}', "is not an address"),
        ('{slack: "${S}", on: [everything]}', "there is no `everything`"),
        ('{slack: "${S}", apprise: "${S}"}', "needs one of"),
        ("{}", "needs one of"),
        ('{slack: "${S}", colour: red}', "unknown key"),
    ],
)
def test_wrong_channel_is_refused_with_what_is_wrong(wrong: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read(f"notify: {{one: {wrong}}}")
    assert "CANARY" not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "url", "secrets", "says"),
    [
        ("webhook", "http://10.0.0.1/x", (SECRETS[0],), "not one of https"),
        ("webhook", "ftp://x.example", (SECRETS[0],), "not one of https"),
        ("webhook", "https://x.example", ("whsec_dG9vIHNob3J0",), "24 to 64 bytes"),
        ("smtp", "http://mail.example", (), "not one of SMTP"),
        ("apprise", "nothing-that-it-knows", (), "none that Apprise knows"),
    ],
)
def test_wrong_url_or_secret_is_refused_at_the_start(kind: str, url: str, secrets: tuple[str, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        way(channel("x", kind, url, *secrets))
    assert waits[-1] > timedelta(hours=1)
