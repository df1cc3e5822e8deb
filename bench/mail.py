"""How many messages a second the gateway sends, against the same mail server spoken to directly, in one run.

    python bench/mail.py [--quick] [--messages N] [--rounds N] [--write]

Directly: as a program does it that sends its own mail, a message is composed (`email.message`) and sent by the library
that the gateway uses too, over connections that are kept. Through the gateway: a template is filled in, decided,
composed, its intent and its outcome durable in the ledger, as a user gets it. Bytes that are ready, written by hand,
are what the server takes at most. All ways are taken in turns; figures are medians of rounds. Exits 1 when a target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path

from aiosmtplib import SMTP

ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

from common import Report, machine, median, record  # noqa: E402  # the path is set above

from tests.support.gateway import RunningGateway, prepare_gateway  # noqa: E402  # the path is set above
from tests.support.postgres import free_port  # noqa: E402  # the path is set above

POLICY = """
bailiwick: 1
mounts:
  mail:
    kind: email
    smtp: smtp://127.0.0.1:PORT
    from: a@acme.example
    templates: templates
    internal: [acme.example]
roles:
  sender:
    grants:
      - {allow: email:send, reason: measured, args: {template: notice, to: {glob: "*@acme.example"}}}
      - {allow: email:send, reason: measured too, args: {subject: any, body: any, to: {glob: "*@acme.example"}}}
agents:
  bench-bot: {owner: bench, purpose: is measured, roles: [sender]}
"""
TEMPLATE = """
subject: "Notice {{ number }}"
variables: {number: integer, name: {type: string, max: 60}}
text: |
  Dear {{ name }},

  this is notice {{ number }} of a measured length. It says what notices say, in a few lines,
  and then it ends, as most of them do.
"""
BODY = """From: a@acme.example\r
To: bo@acme.example\r
Subject: Notice 5\r
MIME-Version: 1.0\r
Content-Type: text/plain; charset="utf-8"\r
Content-Transfer-Encoding: 7bit\r
\r
Dear Bo,\r
\r
this is notice 5 of a measured length. It says what notices say, in a few lines,\r
and then it ends, as most of them do.\r
"""
Sending = Callable[[int], Coroutine[None, None, None]]


async def _said(reader: asyncio.StreamReader, wanted: bytes) -> None:
    while True:
        line = await reader.readuntil(b"\r\n")
        if line[3:4] != b"-":
            break
    if not line.startswith(wanted):
        raise RuntimeError(f"a message was refused: {line!r}")


def by_smtp(port: int, login: str = "") -> Sending:
    """Return what sends messages over one connection, as a mail program does."""

    async def sending(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def say(text: str, wanted: bytes) -> None:
            writer.write(text.encode() + b"\r\n")
            await _said(reader, wanted)

        await _said(reader, b"220")
        await say("EHLO bench", b"250")
        if login:
            await say(f"AUTH PLAIN {login}", b"235")
        for _ in range(count):
            await say("MAIL FROM:<a@acme.example>", b"250")
            await say("RCPT TO:<bo@acme.example>", b"250")
            await say("DATA", b"354")
            await say(BODY + ".", b"250")
        writer.close()

    return sending


def by_library(port: int) -> Sending:
    """Return what composes messages and sends them over one connection, as a program does that sends its own mail."""

    async def sending(count: int) -> None:
        async with SMTP(hostname="127.0.0.1", port=port, start_tls=False) as connection:
            for number in range(count):
                message = EmailMessage()
                message["From"], message["To"] = "a@acme.example", "bo@acme.example"
                message["Subject"] = f"Notice {number}"
                message["Date"], message["Message-ID"] = format_datetime(datetime.now(UTC)), make_msgid()
                message.set_content(BODY.partition("\r\n\r\n")[2].replace("\r\n", "\n"))
                await connection.send_message(message)

    return sending


def by_http(port: int, token: str) -> Sending:
    """Return what posts messages over one connection."""
    said = {"template": "notice", "to": "bo@acme.example", "variables": {"number": 5, "name": "Bo"}}
    data = json.dumps(said)
    head = f"POST /mail/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
    request = f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n{data}".encode()

    async def sending(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request)
            found = await reader.readuntil(b"\r\n\r\n")
            length = int(found.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            if b" 200 " not in found[:16]:
                raise RuntimeError(f"a message was refused: {body!r}")
        writer.close()

    return sending


async def _round(sending: Sending, clients: int, count: int) -> float:
    """Return messages a second."""
    began = time.perf_counter()
    await asyncio.gather(*(sending(count) for _ in range(clients)))
    return clients * count / (time.perf_counter() - began)


def measure(report: Report, ways: dict[str, Sending], rounds: int, count: int) -> None:
    """Measure at 1 and at 8 clients, one way after the other in every round."""
    found: dict[tuple[str, int], list[float]] = {}
    for each in ways.values():
        asyncio.run(_round(each, 2, 20))  # opens what is opened once
    for _ in range(rounds):
        for clients in (1, 8):
            for name, each in ways.items():
                rate = asyncio.run(_round(each, clients, max(count // clients, 20)))
                found.setdefault((name, clients), []).append(rate)
    report.say("")
    report.say("| a message of 0.3 kB | messages/s, 1 client | 8 clients |")
    report.say("|---|---|---|")
    for name in ways:
        report.say(f"| {name} | {median(found[name, 1]):,.0f} | {median(found[name, 8]):,.0f} |")
    report.say("")
    for clients in (1, 8):
        rate = median(found["gateway, HTTP", clients]) / median(found["direct", clients])
        report.line(f"messages a second, gateway / direct, {clients} clients", rate, "", 0.5)
    for name in ("gateway, HTTP", "gateway, mail program"):
        rate = median(found[name, 8]) / median(found["direct, bytes that are ready", 8])
        report.line(f"messages a second, {name} / bytes that are ready, 8 clients", rate, "")


@contextmanager
def peer() -> Generator[int]:
    """Run the mail server; give its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(ROOT / "bench" / "mail_peer.py"), str(port)])  # noqa: S603  # our own
    try:
        asyncio.run(_up(port))
        yield port
    finally:
        process.kill()
        process.wait(30)


async def _up(port: int) -> None:
    for _ in range(3000):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


@contextmanager
def gateway_for(port: int) -> Generator[RunningGateway]:
    """Run a gateway before the mail server."""
    folder = Path(tempfile.mkdtemp(prefix="bwbench"))
    (folder / "templates").mkdir()
    (folder / "templates" / "notice.yaml").write_text(TEMPLATE)
    gateway = prepare_gateway(folder, POLICY.replace("PORT", str(port)), {}, "smtp: {port: 0}\n")
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Measure, print, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round: under 40 seconds")
    options.add_argument("--messages", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    chosen = options.parse_args()
    rounds, count = (1, 400) if chosen.quick else (int(chosen.rounds), int(chosen.messages))
    report = Report()
    report.say(machine())
    with ExitStack() as stack:
        port = stack.enter_context(peer())
        gateway = stack.enter_context(gateway_for(port))
        token = gateway.open_session("bench-bot").token
        login = base64.b64encode(f"\0bench-bot\0{token}".encode()).decode()
        ways = {
            "direct": by_library(port),
            "direct, bytes that are ready": by_smtp(port),
            "gateway, HTTP": by_http(gateway.http_port, token),
            "gateway, mail program": by_smtp(gateway.smtp_port, login),
        }
        measure(report, ways, rounds, count)
    if chosen.write:
        record("mail", report)
    return 1 if report.short else 0


if __name__ == "__main__":
    sys.exit(main())
