"""Files that go with messages: read as the session may read them, decided on by what they are, sent as decided on."""

from __future__ import annotations

import shutil
import smtplib
import subprocess
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest

from bailiwick.mounts.mcp.status import NAME
from tests.email.conftest import PAPERS, Desk
from tests.support.mail_server import Got

pytestmark = pytest.mark.xdist_group("email")
INSIDE = {"to": "bo@acme.example", "subject": "papers", "body": "here they are"}


def attached(got: Got) -> dict[str, tuple[str, bytes]]:
    """Return what a message carries: name → type and content."""
    return {
        str(part.get_filename()): (part.get_content_type(), bytes(part.get_payload(decode=True) or b""))
        for part in got.message.walk()
        if part.get_content_disposition() == "attachment"
    }


def test_files_are_attached_as_the_session_may_read_them(desk: Desk) -> None:
    given = {"attachments": ["docs/papers/a.txt", "docs/papers/\u00fcber.md"]}
    told = desk.client("attacher").call("send", **INSIDE, **given)
    assert told.code == "", told.data
    (got,) = desk.taken()
    assert got.text().strip() == "here they are"
    assert attached(got) == {
        "a.txt": ("text/plain", b"the paper, by [email]\n"),
        "\u00fcber.md": ("text/markdown", PAPERS["papers/\u00fcber.md"]),
    }
    reads = [each for each in desk.records() if "read docs/papers/a.txt" in str(each.get("statement"))]
    assert reads


def test_files_are_attached_by_http_too(desk: Desk) -> None:
    token = desk.shared("attacher").token
    status, told = desk.post(token, {**INSIDE, "attachments": ["docs/papers/b.pdf"]})
    assert status == 200, told
    (got,) = desk.taken()
    assert attached(got) == {"b.pdf": ("application/pdf", PAPERS["papers/b.pdf"])}


@pytest.mark.parametrize(
    ("attachments", "why"),
    [
        (["docs/secrets/key.txt"], "resource_unknown"),
        (["docs/papers/none.txt"], "resource_unknown"),
        (["docs/papers/../secrets/key.txt"], "argument_not_granted"),
        (["/etc/passwd"], "resource_unknown"),
        (["other/papers/a.txt"], "resource_unknown"),
        (["upload:a.txt"], "argument_not_granted"),
        (["docs/papers/long.txt"], "argument_not_granted"),
        (["docs/papers/page.html"], "argument_not_granted"),
        (["docs/papers/prices/list.txt"], "argument_not_granted"),
        (["docs/papers/a.txt", "docs/papers/b.pdf", "docs/papers/\u00fcber.md"], "argument_not_granted"),
        (["docs/papers/a.txt", "docs/papers/a.txt"], "argument_not_granted"),
        ([], "argument_not_granted"),
        ([{"ref": "docs/papers/a.txt", "level": "public"}], "argument_not_granted"),
        (["docs/papers/board/minutes.txt"], "needs_approval"),
    ],
)
def test_what_is_not_granted_is_not_attached(desk: Desk, attachments: list[object], why: str) -> None:
    told = desk.client("attacher").call("send", **INSIDE, attachments=attachments)
    assert told.code == why, told.data
    assert desk.taken() == []
    assert "CANARY" not in str(told.data)


def test_facts_of_attachments_are_never_what_the_agent_says(desk: Desk) -> None:
    told = desk.client("attacher").call(
        "send", **INSIDE, attachments=["docs/papers/prices/list.txt"], **{"attachments.level": "public"}
    )
    assert told.code == "argument_not_granted"
    assert desk.taken() == []


def test_labels_decide_who_gets_an_attachment(desk: Desk) -> None:
    pricer = desk.client("pricer")
    assert pricer.call("send", **INSIDE, attachments=["docs/papers/prices/list.txt"]).code == ""
    (got,) = desk.taken()
    assert attached(got)["list.txt"][1] == PAPERS["papers/prices/list.txt"]
    outside = {**INSIDE, "to": "bo@partner.example"}
    assert pricer.call("send", **outside, attachments=["docs/papers/prices/list.txt"]).code == "action_not_granted"
    assert desk.taken() == []
    assert pricer.call("send", **outside, attachments=["docs/papers/a.txt"]).code == ""
    assert len(desk.taken()) == 1


def test_who_may_attach_nothing_is_told_so(desk: Desk) -> None:
    told = desk.client("writer").call("send", **INSIDE, attachments=["docs/papers/a.txt"])
    assert told.code == "argument_not_granted"
    assert desk.taken() == []


def test_a_held_message_shows_its_attachments_and_goes_with_those_that_were_approved(desk: Desk) -> None:
    paper = Path(desk.gateway.folder) / "files/papers/held.txt"
    paper.write_bytes(b"first\n")
    client = desk.client("pricer")
    held = {**INSIDE, "subject": "held: papers", "attachments": ["docs/papers/held.txt"]}
    waiting = client.call("send", **held)
    assert waiting.code == "needs_approval"
    approval = str(cast("dict[str, object]", waiting.data[NAME])["approval"])
    shown = desk.gateway.say("approvals", "show", approval).stdout
    assert "docs/papers/held.txt (text/plain, 6 bytes, sha256:" in " ".join(shown.split())
    paper.write_bytes(b"other\n")
    assert desk.gateway.say("approvals", "approve", approval).returncode == 0
    assert client.call("send", **held).code == "needs_approval"  # of another content, it is another message
    assert desk.taken() == []
    paper.write_bytes(b"first\n")
    assert client.call("send", **held).code == ""
    (got,) = desk.taken()
    assert attached(got)["held.txt"][1] == b"first\n"


def test_a_mail_program_attaches_what_the_policy_lets_messages_carry(desk: Desk) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "support@acme.example", "bo@acme.example", "answer"
    message.set_content("see there\n")
    message.add_attachment(
        b"%PDF-1.7\n" + b"x" * 200_000, maintype="application", subtype="pdf", filename="r\u00e9.pdf"
    )
    with desk.submission("attacher") as client:
        client.send_message(message)
        (got,) = desk.taken()
        name, (kind, content) = next(iter(attached(got).items()))
        assert (name, kind, len(content)) == ("r\u00e9.pdf", "application/pdf", 200_009)
        message.add_attachment(b"#!/bin/sh\n", maintype="application", subtype="pdf", filename="b.pdf")
        with pytest.raises(smtplib.SMTPDataError, match="550"):  # it is not what it is said to be
            client.send_message(message)
    with desk.submission("writer") as client, pytest.raises(smtplib.SMTPDataError, match="attachments"):
        client.send_message(message)
    assert desk.taken() == []


def test_swaks_attaches_a_file(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PAPERS["papers/b.pdf"])
    swaks = shutil.which("swaks")
    assert swaks is not None
    login = ["--auth", "PLAIN", "--auth-user", "attacher", "--auth-password", desk.shared("attacher").token]
    command = [swaks, "--server", f"127.0.0.1:{desk.gateway.smtp_port}", *login, "--from", "support@acme.example"]
    command += ["--to", "bo@acme.example", "--header", "Subject: paper", "--body", "see there"]
    command += ["--attach-type", "application/pdf", "--attach-name", "a.pdf", "--attach", f"@{tmp_path / 'a.pdf'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    (got,) = desk.taken()
    assert attached(got)["a.pdf"][1] == PAPERS["papers/b.pdf"]
