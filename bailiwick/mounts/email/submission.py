"""One mail program of an agent: who it is, from whom and to whom, and what it says, put to the gateway as a call.

The envelope is the truth, and the headers must agree with it. A retry of the same message is the same request, so
that a message that waits for people is simply sent again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from bailiwick.decide.denials import words_of
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.addresses import Address, Fault, read_address, read_mailbox
from bailiwick.match.masks import Digest
from bailiwick.model.decision import Denial
from bailiwick.mounts.email.attaching import uploads_of
from bailiwick.mounts.email.bodies import Refusal
from bailiwick.mounts.email.mime import Mail, longest_message, read_message
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.offered import Before, Carried, Doing, NotDone, OwnCalls

most_recipients = 100
_idle_seconds = 300.0
_longest_reply = 400
_quickly_read = 128 * 1024
"""Bytes of a message that is read at once; longer ones are read aside."""
_AGAIN = frozenset(
    {"needs_approval", "limit_exceeded", "limit_unavailable", "ledger_unavailable", "backend_unavailable"}
)
"""What may be another time; everything else is not to be tried again."""
_PATH = re.compile(r" ?(?:<([^<>\s]*)>|([^<>\s]+))(?: +(\S.*))?")
"""An address of the envelope as it stands there, and what follows it; `read_address` says whether it is one."""
_NOBODY = "535 5.7.8 this agent and token are not taken"


@dataclass(frozen=True, slots=True)
class Around:
    """What every mail program of this gateway has in common."""

    gateway: Gateway
    doing: Doing
    digest: Digest
    senders: Callable[[], dict[str, str]]
    """Mount → the address that it sends as, under the policy in force."""
    login_seconds: float
    most: int
    """Connections at once."""


class Program:
    """The hooks of one connection."""

    def __init__(self, around: Around, peer: str, close: Callable[[], None]) -> None:
        self._around = around
        self._peer = peer
        self._close = close
        self._live: Live | None = None
        self._calls: OwnCalls | None = None
        self._ended = False

    async def handle_AUTH(  # noqa: N802  # aiosmtpd calls these so
        self, server: SMTP, session: Session, envelope: Envelope, args: list[str]
    ) -> str:
        """Admit an agent: its name and its token."""
        del envelope
        if self._live is not None:
            return "503 5.5.1 already authenticated"
        given = await _credentials(server, args)
        if given is None:
            return "501 5.5.2 the login cannot be read"
        agent, token = given
        if not agent or not token:
            return _NOBODY
        live = await self._around.gateway.enter("smtp", token, self._peer, self._cut)
        if isinstance(live, Denial):
            return _NOBODY
        if live.session.agent != agent or self._ended:
            self._around.gateway.disconnect(live, self._cut, "the agent is another one than the token's")
            return _NOBODY
        self._live = live
        self._calls = OwnCalls(self._around.gateway, live, self._around.doing, self._around.digest)
        session.authenticated = True
        return "235 2.7.0 authenticated"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender, where the session has a mount that sends as it."""
        del server, session
        if not self._mount(address):
            return "550 5.7.1 this session sends as another address"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient."""
        del server, session
        read = read_address(address)
        if isinstance(read, Fault) or options:
            return f"553 5.1.3 {read.message if isinstance(read, Fault) else 'no options are taken'}"
        if len(envelope.rcpt_tos) >= most_recipients:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(str(read))
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Send the message, or say why not."""
        del server, session
        calls, name = self._calls, self._mount(envelope.mail_from or "")
        if calls is None or not name:
            return "550 5.7.1 this session sends as another address"
        try:
            data = cast("bytes", envelope.content or b"")
            mail = await asyncio.to_thread(read_message, data) if len(data) > _quickly_read else read_message(data)
            arguments = _arguments(envelope, mail)
        except Refusal as error:
            denial = Denial("protocol_violation", str(error), remedy="write it more plainly")
            return _said(await calls.malformed(name, denial))
        uploads = uploads_of(mail.files)
        if uploads:
            arguments["attachments"] = [*uploads]
        done = await calls.call(Before(name, arguments, "", 0.0, uploads))
        if isinstance(done, Carried):
            return f"250 2.0.0 sent as {done.told.get('message', '')}"
        return _said(done)

    async def handle_exception(self, error: Exception) -> str:
        """Record that the gateway itself failed."""
        if isinstance(error, ConnectionError | ssl.SSLError | asyncio.IncompleteReadError):
            return "421 4.4.2 connection lost"
        await self._around.gateway.failed(error, "a message of a mail program", self._live)
        return "451 4.3.0 the gateway failed on this"

    def gone(self) -> None:
        """The connection is over."""
        self._ended = True
        live, self._live = self._live, None
        if live is not None:
            self._around.gateway.disconnect(live, self._cut, "the mail program left")

    def _cut(self, denial: Denial) -> None:
        del denial
        self._ended = True
        self._close()

    def _mount(self, sender: str) -> str:
        """Return the tool by which the session sends as an address; empty when there is none."""
        senders, live = self._around.senders(), self._live
        for name, tool in live.tools.tools.items() if live is not None else ():
            if tool.tool.own == "email" and senders.get(tool.mount) == sender:
                return name
        return ""


async def _credentials(server: SMTP, args: list[str]) -> tuple[str, str] | None:
    """Return user and password; None where they cannot be read."""
    how = args[0].upper()
    first = await _blob(server, args[1]) if len(args) > 1 else None
    if how == "PLAIN":
        whole = first if len(args) > 1 else await _asked(server, "")
        parts = (whole or "").split("\0")
        return (parts[1], parts[2]) if len(parts) == 3 and parts[0] in ("", parts[1]) else None
    if how == "LOGIN":
        user = first if len(args) > 1 else await _asked(server, "User Name\0")
        password = await _asked(server, "Password\0") if user else None
        return (user, password) if user and password else None
    return None


async def _asked(server: SMTP, prompt: str) -> str | None:
    found = await server.challenge_auth(prompt)
    return _ascii(found) if isinstance(found, bytes) else None


async def _blob(server: SMTP, text: str) -> str | None:
    del server
    try:
        return _ascii(base64.b64decode(text, validate=True))
    except binascii.Error:
        return None


def _ascii(data: bytes) -> str | None:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        return None


def _arguments(envelope: Envelope, mail: Mail) -> dict[str, Json]:
    """Return what `send` is asked for. Raises Refusal where headers and envelope disagree."""
    named = {header: [_read(header, each) for each in given] for header, given in mail.addresses.items()}
    sender = envelope.mail_from or ""
    if [str(each) for each in named["from"]] != [sender]:
        raise Refusal("`From` is another address than the sender's")
    if "sender" in named and [str(each) for each in named["sender"]] != [sender]:
        raise Refusal("`Sender` is another address than the sender's")
    lists = {name: [str(each) for each in named.get(header, ())] for name, header in _HEADERS.items()}
    reached = [*dict.fromkeys(envelope.rcpt_tos)]
    listed = {each for name in ("to", "cc", "bcc") for each in lists[name]}
    if not listed <= set(reached):
        raise Refusal("the headers name a recipient that the envelope does not")
    shown = {*lists["to"], *lists["cc"]}
    lists["bcc"] = [each for each in reached if each not in shown]
    found: dict[str, Json] = {name: cast("Json", given) for name, given in lists.items() if given}
    found["subject"] = mail.subject
    return found | {name: text for name, text in (("body", mail.text), ("html", mail.html)) if text}


_HEADERS = {"to": "to", "cc": "cc", "bcc": "bcc", "reply_to": "reply-to"}


def _read(header: str, text: str) -> Address:
    read = read_mailbox(text)
    if isinstance(read, Fault):
        raise Refusal(f"`{header}`: {read.message}")
    return read


def _said(told: NotDone) -> str:
    """Return a denial as a reply: to be tried again, or not at all."""
    code = "451 4.7.1" if told.denial.code in _AGAIN else "550 5.7.1"
    if told.denial.code == "message_unknown":
        code = "554 5.4.0"
    words = "".join(each if each.isascii() and each.isprintable() else "?" for each in words_of(told.denial))
    waits = f"; it waits as {told.approval.id}, send it again" if told.approval is not None else ""
    record = f" [{told.record}]" if told.record else ""
    return f"{code} {words[:_longest_reply]}{waits}{record}"


class Connection(SMTP):
    """One connection: what it is allowed to say before it is secured and logged in."""

    line_length_limit = 12288
    """Of a login (RFC 4954), which has a token in it; those of a message are bounded where it is read."""

    def __init__(self, around: Around, tls: ssl.SSLContext | None, open_now: set[Connection]) -> None:
        self._program = Program(around, "", self._closed)
        super().__init__(
            self._program,
            data_size_limit=longest_message,
            enable_SMTPUTF8=False,
            hostname="bailiwick",
            ident="Bailiwick",
            tls_context=tls,
            timeout=_idle_seconds,
            auth_required=True,
            auth_require_tls=True,
            auth_exclude_mechanism=(),
            loop=asyncio.get_running_loop(),
        )
        self.command_size_limits["AUTH"] = self.line_length_limit
        self._around = around
        self._open_now = open_now
        self._limit: asyncio.TimerHandle | None = None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Return an address and what follows it. aiosmtpd would drop routes, comments and quotes: here they stay, and
        are refused."""
        found = _PATH.fullmatch(arg)
        return (None, None) if found is None else (found[1] or found[2] or "", found[3] or "")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A program has connected; or, after STARTTLS, goes on in private."""
        host = _host(transport.get_extra_info("peername"))
        here = host is not None and host.is_loopback
        if (not here and self.tls_context is None) or len(self._open_now) >= self._around.most:
            transport.abort() if isinstance(transport, asyncio.Transport) else transport.close()
        self._auth_require_tls = not here
        self._open_now.add(self)
        super().connection_made(transport)
        if self._limit is None:
            self._limit = asyncio.get_running_loop().call_later(self._around.login_seconds, self._late)

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._open_now.discard(self)
        if self._limit is not None:
            self._limit.cancel()
        self._program.gone()
        super().connection_lost(error)

    def _late(self) -> None:
        if self.session is None or not self.session.authenticated:
            self._closed()

    def _closed(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def cut(self) -> None:
        """End it."""
        self._closed()


def _host(peer: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(cast("tuple[object, ...]", peer)[0])) if isinstance(peer, tuple) else None
    except ValueError:
        return None
