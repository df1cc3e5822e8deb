"""Sending one notice through one channel, once. What came of it is a value; nothing is retried here.

Webhooks go where the operator's configuration says, also to private addresses, and to nowhere else: no redirect is
followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from bailiwick.errors import ConfigError
from bailiwick.gateway.http_client import HttpClient, HttpError, address_of
from bailiwick.gateway.identity import is_safe
from bailiwick.gateway.notices.channels import SECTION, Channel, signing_key
from bailiwick.gateway.notices.store import Outgoing
from bailiwick.gateway.notices.text import as_blocks, as_data, as_mail, as_text, lines_of, signed, title_of
from bailiwick.gateway.secrets import resolve

_seconds = 20.0


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one sending. `unheard`: it may have arrived. `gone`: its receiver wants no more of it."""

    how: Literal["sent", "failed", "unheard", "gone"]
    reason: str = ""
    """Never holds a URL, an address or what the other side said."""


Send = Callable[[Outgoing, str, datetime], Awaitable[Came]]
"""(what, the link in it, now) → what came of it. Never raises, but when it is cancelled."""
_SENT = Came("sent")


def sender_of(channel: Channel, environ: Mapping[str, str], base: Path) -> Send:
    """Return what sends through a channel. Raises ConfigError for a secret or a URL that is none."""
    url = resolve(channel.url, environ, base).reveal()
    what = f"{SECTION}.{channel.name}"
    match channel.kind:
        case "webhook":
            keys = [signing_key(channel.name, resolve(each, environ, base).reveal()) for each in channel.secrets]
            return _webhook(_checked(what, url), keys)
        case "slack":
            return _slack(_checked(what, url))
        case "smtp":
            return _smtp(what, url, channel)
        case "apprise":
            return _apprise(what, url)


def _checked(what: str, url: str) -> str:
    try:
        parts = address_of(url)
    except ValueError:
        parts = None
    if parts is None or not is_safe(url):
        raise ConfigError(
            f"the URL of `{what}` is not one of https, or has a name and password in it",
            remedy="give one that begins with `https://`; `http://` is for this machine alone",
        )
    return url


def _webhook(url: str, keys: list[bytes]) -> Send:
    async def send(row: Outgoing, link: str, now: datetime) -> Came:
        body = as_data(row.notice, link, row.made_at)
        return await _posted(url, signed(row.id, now, body, keys), body)

    return send


def _slack(url: str) -> Send:
    async def send(row: Outgoing, link: str, now: datetime) -> Came:
        del now
        return await _posted(url, [], as_blocks(row.notice, link))

    return send


async def _posted(url: str, headers: list[tuple[str, str]], body: bytes) -> Came:
    address = address_of(url)
    client = HttpClient(address.origin)
    try:
        async with asyncio.timeout(_seconds):
            answer = await client.send("POST", address.target, [("content-type", "application/json"), *headers], body)
    except HttpError as error:
        return Came("failed" if error.unsent else "unheard", "the connection failed")
    except TimeoutError:
        return Came("unheard", "no answer in time")
    except OSError:
        return Came("failed", "it cannot be reached")
    finally:
        await client.close()
    if 200 <= answer.status < 300:
        return _SENT
    return Came("gone" if answer.status == 410 else "failed", f"it answers {answer.status}")


def _smtp(what: str, url: str, channel: Channel) -> Send:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/") or parts.query:
        message = f"the URL of `{what}` is not one of SMTP"
        raise ConfigError(message, remedy="write e.g. `smtps://user:password@mail.corp.example`, or `smtp://…:587`")
    secure = parts.scheme == "smtps"
    port = parts.port or (465 if secure else 587)
    user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
    # Beyond this machine a mail server without TLS is not spoken to.
    start_tls = None if secure or _is_here(host) else True

    async def send(row: Outgoing, link: str, now: datetime) -> Came:
        del now
        import aiosmtplib

        mail = as_mail(row.notice, link, row.id, channel.sender, channel.recipients, row.made_at)
        try:
            await aiosmtplib.send(
                mail,
                sender=channel.sender,
                recipients=list(channel.recipients),
                hostname=host,
                port=port,
                username=user,
                password=password,
                use_tls=secure,
                start_tls=False if secure else start_tls,
                timeout=_seconds,
            )
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPResponseException) as error:
            code = f" {error.code}" if isinstance(error, aiosmtplib.SMTPResponseException) else ""
            return Came("failed", f"the mail server refuses{code}" if code else "the mail server cannot be reached")
        except aiosmtplib.SMTPRecipientsRefused:
            return Came("failed", "the mail server refuses all recipients")
        except (aiosmtplib.SMTPException, OSError, ValueError):
            return Came("unheard", "the mail server broke off")
        return _SENT

    return send


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _apprise(what: str, url: str) -> Send:
    if find_spec("apprise") is None:
        message = f"`{what}`: the package `apprise` is not installed"
        raise ConfigError(message, remedy="pip install 'bailiwick[apprise]'")
    import apprise

    service = apprise.Apprise()
    if not service.add(url):  # pyright: ignore[reportUnknownMemberType]  # its types are half known
        raise ConfigError(f"the URL of `{what}` is none that Apprise knows", remedy="see Apprise's list of services")

    async def send(row: Outgoing, link: str, now: datetime) -> Came:
        del now
        body = as_text(row.notice, link) if lines_of(row.notice) or link else title_of(row.notice)
        try:
            async with asyncio.timeout(_seconds):
                done = await service.async_notify(body=body, title=title_of(row.notice), body_format="text")
        except TimeoutError:
            return Came("unheard", "no answer in time")
        except (OSError, TypeError, ValueError):
            return Came("failed", "Apprise could not send it")
        return _SENT if done else Came("failed", "Apprise could not send it")

    return send
