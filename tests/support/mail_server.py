"""A real mail server on this machine (aiosmtpd), which keeps what it is given and can misbehave."""

from __future__ import annotations

import asyncio
import email
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

USER, PASSWORD = "gateway", "CANARY-smtp-password-0815"


@dataclass(frozen=True, slots=True)
class Got:
    """A message as it came."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    secured: bool
    user: str

    @property
    def message(self) -> EmailMessage:
        """Return it, parsed."""
        return email.message_from_bytes(self.data, policy=default)

    def text(self, kind: str = "plain") -> str:
        """Return the text of its plain or HTML part."""
        part = self.message.get_body((kind,))
        return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class MailServer:
    """The server. Recipients at `refused.example` are not taken; a text `DROP ME` loses the connection after DATA."""

    port: int = 0
    got: list[Got] = field(default_factory=list[Got])
    connections: int = 0
    user: str = ""
    made: list[SMTP] = field(default_factory=list[SMTP])
    """Every connection."""

    def hang_up(self) -> None:
        """Close every connection; what it says of that is on its way when this returns."""
        closed = threading.Event()
        for each in self.made:
            if each.transport is not None:
                each.loop.call_soon_threadsafe(each.transport.close)
                each.loop.call_soon_threadsafe(each.loop.call_soon, closed.set)
                assert closed.wait(30)

    def taken(self) -> list[Got]:
        """Return what came since this was last asked."""
        found = list(self.got)
        del self.got[: len(found)]
        return found

    async def handle_RCPT(  # noqa: N802  # aiosmtpd calls it so
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or not."""
        del server, session, options
        if address.endswith("@refused.example"):
            return "550 5.1.1 CANARY-no-such-user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take a message."""
        data = cast("bytes", envelope.content or b"")
        if b"REFUSE ME" in data:
            return "554 5.6.0 CANARY-refused"
        recipients = tuple(envelope.rcpt_tos)
        secured = session.ssl is not None
        self.got.append(Got(envelope.mail_from or "", recipients, data, secured, self.user))
        if b"DROP ME" in data:
            transport = cast("asyncio.Transport", server.transport)
            transport.abort()
        return "250 OK"

    def authenticated(self, server: SMTP, session: Session, envelope: Envelope, how: str, data: object) -> AuthResult:
        """Take a login."""
        del server, session, envelope, how
        login, password = getattr(data, "login", b""), getattr(data, "password", b"")
        good = (login, password) == (USER.encode(), PASSWORD.encode())
        self.user = USER if good else ""
        return AuthResult(success=good, handled=False)


@contextmanager
def mail_server(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, *, implicit: bool = False
) -> Generator[MailServer]:
    """Run a server; with `tls` it wants STARTTLS and a login, `implicit`: TLS from the first byte."""
    found = MailServer()
    loop = asyncio.new_event_loop()

    def made() -> SMTP:
        found.connections += 1
        starttls = tls if not implicit else None
        one = SMTP(
            found,
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=found.authenticated if tls is not None else None,
            auth_required=tls is not None,
            auth_require_tls=not implicit,
            enable_SMTPUTF8=False,
        )
        found.made.append(one)
        return one

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = loop.create_server(made, host, 0, ssl=tls if implicit else None)
    listening = asyncio.run_coroutine_threadsafe(starting, loop).result(30)
    found.port = int(listening.sockets[0].getsockname()[1])
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(listening.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
