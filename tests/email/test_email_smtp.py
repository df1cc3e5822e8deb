"""The port for mail programs, end to end: real programs, and messages that are written to deceive."""

from __future__ import annotations

import base64
import shutil
import smtplib
import socket
import ssl
import subprocess
from email.message import EmailMessage
from typing import cast

import pytest

from tests.email.conftest import Desk
from tests.email.mime_cases import HOSTILE, SENT, Case

pytestmark = pytest.mark.xdist_group("email")
SENDER = "support@acme.example"


def submitted(client: smtplib.SMTP, case: Case) -> tuple[int, str]:
    """Give a message to the gateway as it is; return the reply."""
    assert client.mail(SENDER)[0] == 250
    for each in case.recipients:
        assert client.rcpt(each)[0] == 250
    client.putcmd("data")
    assert client.getreply()[0] == 354
    dotted = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in case.data.split(b"\r\n"))
    client.send(dotted + b".\r\n")
    code, said = client.getreply()
    if code != 250:
        client.rset()
    return code, said.decode()


def test_there_are_enough_hostile_messages() -> None:
    assert len({case.name for case in HOSTILE}) == len(HOSTILE) >= 150


def test_what_could_be_read_in_two_ways_is_refused_and_reaches_nobody(desk: Desk) -> None:
    amiss: list[str] = []
    with desk.submission("open") as client:
        for case in HOSTILE:
            code, said = submitted(client, case)
            if code not in (500, 550) or "CANARY" in said or desk.taken():
                amiss.append(f"{case.name}: {code} {said}")
    assert amiss == [], "\n".join(amiss)


def test_each_neighbour_is_sent_as_it_was_understood(desk: Desk) -> None:
    with desk.submission("open") as client:
        for case in SENT:
            code, said = submitted(client, case)
            assert code == 250, (case.name, said)
            (got,) = desk.taken()
            assert (got.sender, got.recipients) == (SENDER, case.recipients), case.name
            assert b"CANARY" not in got.data
            for name, value in case.expect.items():
                found = got.text() if name == "text" else str(got.message[name] or "")
                assert found == value, case.name


@pytest.mark.parametrize(
    ("name", "text", "html"),
    [
        ("base64", "grüße\n", ""),
        ("quoted-printable", "grüße\n", ""),
        ("8bit", "grüße\n", ""),
        ("Latin 1", "grüße\n", ""),
        ("HTML", "", "<p>x</p>\n"),
        ("alternatives", "plain\n", "<p>html</p>\n"),
        ("alternatives in parts", "plain\n", "<p>html</p>\n"),
    ],
)
def test_encodings_and_alternatives_are_read(desk: Desk, name: str, text: str, html: str) -> None:
    (case,) = [each for each in SENT if each.name == name]
    with desk.submission("open") as client:
        assert submitted(client, case)[0] == 250
    (got,) = desk.taken()
    assert (got.text(), got.text("html")) == (text, html)


def test_smtplib_sends_what_its_session_may_and_nothing_else(desk: Desk) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, "bo@partner.example", "Grüße"
    message.set_content("Hallo\n")
    with desk.submission() as client:
        assert client.send_message(message) == {}
        (got,) = desk.taken()
        assert (got.message["Subject"], got.text()) == ("Grüße", "Hallo\n")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.send_message(message, to_addrs=["bo@partner.example", "eve@evil.test"])
        assert refused.value.smtp_code == 550
        assert b"5.7.1" in cast("bytes", refused.value.smtp_error)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("chief@acme.example", ["bo@partner.example"], message.as_bytes())
        assert desk.taken() == []


def test_the_denial_has_its_decision_which_the_ledger_has(desk: Desk) -> None:
    with desk.submission() as client:
        code, said = submitted(
            client, Case("", (f"From: {SENDER}", "To: eve@evil.test", "Subject: x"), recipients=("eve@evil.test",))
        )
    assert code == 550
    record = said.rpartition("[")[2].rstrip("]")
    assert record in {str(each["id"]) for each in desk.records()}


@pytest.mark.parametrize(
    ("user", "token"), [("writer", "wrong"), ("bot", ""), ("", ""), ("writer", "CANARY." * 3), ("open", "")]
)
def test_a_wrong_login_is_refused(desk: Desk, user: str, token: str) -> None:
    client = smtplib.SMTP("127.0.0.1", desk.gateway.smtp_port, timeout=60)
    with client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(user, token or desk.shared("writer").token)


def test_without_a_login_nothing_is_taken(desk: Desk) -> None:
    with smtplib.SMTP("127.0.0.1", desk.gateway.smtp_port, timeout=60) as client:
        client.ehlo()
        assert client.mail(SENDER)[0] == 530
        assert client.docmd("VRFY", "bo@ok.example")[0] != 250
        assert client.docmd("EXPN", "all")[0] != 250


def test_a_revoked_session_loses_its_connection(desk: Desk) -> None:
    session = desk.session("writer")
    client = smtplib.SMTP("127.0.0.1", desk.gateway.smtp_port, timeout=60)
    client.login("writer", session.token)
    desk.gateway.revoke(session)
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        client.sendmail(SENDER, ["bo@partner.example"], b"Subject: x\r\n\r\nx\r\n")


def test_swaks_sends(desk: Desk) -> None:
    swaks = shutil.which("swaks")
    assert swaks is not None, "scripts/setup installs it"
    command = [swaks, "--server", f"127.0.0.1:{desk.gateway.smtp_port}", "--auth", "PLAIN", "--auth-user", "writer"]
    command += ["--auth-password", desk.shared("writer").token, "--from", SENDER, "--header", "Subject: by swaks"]
    sent = subprocess.run(
        [*command, "--to", "bo@partner.example"], capture_output=True, text=True, timeout=60, check=False
    )
    assert sent.returncode == 0, sent.stdout
    (got,) = desk.taken()
    assert got.message["Subject"] == "by swaks"
    refused = subprocess.run(
        [*command, "--to", "eve@evil.test"], capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode != 0
    assert "550 5.7.1" in refused.stdout
    assert desk.taken() == []


_PRIVATE = f"From: {SENDER}\r\nTo: bo@partner.example\r\nSubject: in private\r\n\r\nhello\r\n".encode()


def test_a_program_that_asks_for_starttls_speaks_in_private(desk: Desk) -> None:
    trusting = ssl.create_default_context(cafile=desk.certificate)
    with smtplib.SMTP("localhost", desk.gateway.smtp_port, timeout=60) as client:
        assert client.has_extn("starttls") or client.ehlo()[0] == 250
        client.starttls(context=trusting)
        assert not client.has_extn("starttls")
        client.login("writer", desk.shared("writer").token)
        client.sendmail(
            SENDER,
            ["bo@partner.example"],
            _PRIVATE,
        )
    (got,) = desk.taken()
    assert got.message["Subject"] == "in private"
    with smtplib.SMTP("localhost", desk.gateway.smtp_port, timeout=60) as client, pytest.raises(ssl.SSLError):
        client.starttls(context=ssl.create_default_context())  # nobody vouches for it


def test_what_is_said_before_starttls_counts_for_nothing_behind_it(desk: Desk) -> None:
    """Who is in between can put words before the handshake; a login and an envelope are among them."""
    token = desk.shared("writer").token
    login = base64.b64encode(f"\0writer\0{token}".encode()).decode()
    trusting = ssl.create_default_context(cafile=desk.certificate)
    for words in (f"AUTH PLAIN {login}\r\nMAIL FROM:<{SENDER}>\r\n", "EHLO evil\r\n", "NOOP\r\n"):
        with socket.create_connection(("127.0.0.1", desk.gateway.smtp_port), 60) as plain:
            _until(plain, b"220 ")
            plain.sendall(b"EHLO x\r\n")
            _until(plain, b"250 ")
            plain.sendall(b"STARTTLS\r\n" + words.encode())
            _until(plain, b"220 ")
            try:
                with trusting.wrap_socket(plain, server_hostname="localhost") as private:
                    private.sendall(f"MAIL FROM:<{SENDER}>\r\n".encode())
                    said = _until(private, b" ")
            except (ssl.SSLError, ConnectionError):
                continue
            assert said[:1] == b"5", (words, said)  # it is nobody's session
    assert desk.taken() == []


class _Wire:
    """A connection that says just what it is told to."""

    def __init__(self, desk: Desk, agent: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", desk.gateway.smtp_port), 60)
        login = base64.b64encode(f"\0{agent}\0{desk.shared(agent).token}".encode())
        _until(self._socket, b"220 ")
        for words, wanted in ((b"EHLO x", b"250 "), (b"AUTH PLAIN " + login, b"235 ")):
            self._socket.sendall(words + b"\r\n")
            _until(self._socket, wanted)

    def say(self, words: str, ending: str = "\r\n") -> str:
        """Say one command; return the first line of what is answered."""
        self._socket.sendall((words + ending).encode())
        return _until(self._socket, b" ").decode()

    def close(self) -> None:
        self._socket.close()


ODD_PATHS = [
    *(
        "<@evil.test:bo@ok.example>",
        "<@evil.test,@b.test:bo@ok.example>",
        '<"bo"@ok.example>',
        "<bo(c)@ok.example>",
    ),
    *('<"bo@evil.test"@ok.example>', "<bo%evil.test@ok.example>", "<evil.test!bo@ok.example>", "<bo@[127.0.0.1]>"),
    *("< bo@ok.example>", "<bo@ok.example >", "<bo@ok.example,eve@evil.test>", "<bo@ok.example><eve@evil.test>"),
    *("<bo@ok.example> <eve@evil.test>", "<<bo@ok.example>>", "<bo@ok.example.>", "<bo@ok.example", "bo@ok.example>"),
    *("<bo@ok.example> NOTIFY=SUCCESS", "<bo@ok.example> ORCPT=rfc822;eve@evil.test", "<bo@\x00ok.example>", "<>"),
    *("<postmaster>", "Bo <bo@ok.example>", "group:bo@ok.example;", "<bo@ok\u3002example>", "<b\u00f6@ok.example>"),
]


def test_an_address_of_the_envelope_has_one_reading(desk: Desk) -> None:
    wire = _Wire(desk, "open")
    sender = f"MAIL FROM:<{SENDER}>"
    for path in ("<>", f"<@evil.test:{SENDER}>", '<"support"@acme.example>', f"<{SENDER}> X=1", f"<{SENDER}> SMTPUTF8"):
        assert wire.say(f"MAIL FROM:{path}")[0] == "5", path
    assert wire.say(sender)[:3] == "250"
    for path in ODD_PATHS:
        assert wire.say(f"RCPT TO:{path}")[0] == "5", path
    assert wire.say("DATA")[:3] == "503"  # nobody is to have it
    for path in ("<bo@ok.example>", " <ann@ok.example>", "cy@ok.example"):
        assert wire.say(f"RCPT TO:{path}")[:3] == "250", path
    assert wire.say("DATA")[:3] == "354"
    wire.close()
    assert desk.taken() == []


def test_only_one_end_of_a_message_is_one(desk: Desk) -> None:
    """What other servers take for an end is none here, and what came behind it is no envelope."""
    head = f"From: {SENDER}\r\nTo: bo@ok.example\r\nSubject: x\r\n\r\nhello"
    behind = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<eve@evil.test>\r\nDATA\r\n{head}\r\n."
    ends = ("\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n\0.\r\n", "\r\n.\0\r\n", "\n\n.\r\n")
    wire = _Wire(desk, "open")
    for end in (*ends, "\r\n..\r\n", "\r\n .\r\n"):
        said = [wire.say(words)[:3] for words in (f"MAIL FROM:<{SENDER}>", "RCPT TO:<bo@ok.example>", "DATA")]
        assert said == ["250", "250", "354"]
        assert wire.say(head + end + behind)[:3] == ("550" if end in ends else "250"), end
        got = desk.taken()
        assert [each.recipients for each in got] == ([] if end in ends else [("bo@ok.example",)]), end
        wire.close()
        wire = _Wire(desk, "open")
    assert wire.say("BDAT 5 LAST\r\nhello")[:3] == "500"
    wire.close()


def _until(client: socket.socket, wanted: bytes) -> bytes:
    """Return what is said up to the end of a line that begins so."""
    said = b""
    while not any(line.startswith(wanted) or wanted == b" " for line in said.split(b"\r\n")[:-1]):
        part = client.recv(4096)
        if not part:
            raise ConnectionError
        said += part
    return said


def test_swaks_sends_over_starttls(desk: Desk) -> None:
    told = subprocess.run(["swaks", "--support"], capture_output=True, text=True, timeout=60, check=False)
    if "=== TLS supported" not in told.stdout:
        pytest.skip("swaks has no TLS here: scripts/setup installs libnet-ssleay-perl where it can")
    command = ["swaks", "--server", f"127.0.0.1:{desk.gateway.smtp_port}", "--tls", "--tls-verify"]
    command += ["--tls-ca-path", str(desk.certificate)]
    command += ["--auth", "PLAIN", "--auth-user", "writer", "--auth-password", desk.shared("writer").token]
    command += ["--from", SENDER, "--to", "bo@partner.example", "--header", "Subject: by swaks, in private"]
    sent = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert sent.returncode == 0, sent.stdout
    assert "TLS started" in sent.stdout
    (got,) = desk.taken()
    assert got.message["Subject"] == "by swaks, in private"


def test_a_message_that_waits_for_people_is_sent_again_and_goes_once(desk: Desk) -> None:
    case = Case("", (f"From: {SENDER}", "To: bo@ok.example", "Subject: held: please"))
    with desk.submission("held") as client:
        code, said = submitted(client, case)
        assert code == 451
        approval = said.partition("waits as ")[2].partition(",")[0]
        shown = desk.gateway.say("approvals", "show", approval, "--json")
        assert "held: please" in shown.stdout
        assert "hello" in shown.stdout
        assert desk.taken() == []
        done = desk.gateway.say("approvals", "approve", approval)
        assert done.returncode == 0, done.stderr
        code, said = submitted(client, case)
        assert code == 250, said
        (got,) = desk.taken()
        assert (got.message["Subject"], got.text()) == ("held: please", "hello\n")
        assert submitted(client, case)[0] == 451
        assert desk.taken() == []
