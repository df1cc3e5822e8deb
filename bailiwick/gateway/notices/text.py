"""Notices as each channel is sent them. Pure; texts come out as plain text, whatever was in them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from bailiwick.model.notice import Notice

_longest_title = 150
_longest_line = 500
_most_lines = 20
_odd = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories of characters that change how others are shown, or break lines, or are none."""


def plain(text: str, longest: int = _longest_line) -> str:
    """Return one line of plain text: without characters that control anything, and without links to follow."""
    shown = "".join(" " if unicodedata.category(each) in _odd else each for each in text)
    shown = " ".join(shown.split()).replace("://", "[:]//")
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def title_of(notice: Notice) -> str:
    """Return its title as plain text."""
    return plain(notice.title, _longest_title)


def lines_of(notice: Notice) -> list[str]:
    """Return its lines as plain text."""
    return [plain(line) for line in notice.lines[:_most_lines]]


def as_data(notice: Notice, link: str, made_at: datetime) -> bytes:
    """Return the body of a webhook, as Standard Webhooks has it: `type`, `timestamp`, `data`."""
    data = {
        "kind": notice.kind,
        "subject": plain(notice.subject),
        "title": title_of(notice),
        "lines": lines_of(notice),
        "link": link,
    }
    body = {"type": f"bailiwick.{notice.kind}", "timestamp": made_at.isoformat(), "data": data}
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()


def signed(identity: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> list[tuple[str, str]]:
    """Return the headers by which the receiver knows a webhook: one signature for each key, so that keys rotate."""
    stamp = int(at.timestamp())
    content = f"{identity}.{stamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    signatures = " ".join(f"v1,{each}" for each in made)
    return [("webhook-id", identity), ("webhook-timestamp", str(stamp)), ("webhook-signature", signatures)]


def as_blocks(notice: Notice, link: str) -> bytes:
    """Return the body of a Slack-compatible webhook: plain texts, which are not read as markup, and a button."""
    title, lines = title_of(notice), lines_of(notice)
    blocks: list[dict[str, object]] = [{"type": "header", "text": _text(title)}]
    if lines:
        blocks.append({"type": "section", "text": _text("\n".join(lines)[:3000])})
    if link:
        button = {"type": "button", "text": _text("Open in the console"), "url": link, "action_id": "open"}
        blocks.append({"type": "actions", "elements": [button]})
    shown = {
        "text": _escaped(title),
        "mrkdwn": False,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }
    return json.dumps(shown, ensure_ascii=True, separators=(",", ":")).encode()


def as_mail(
    notice: Notice, link: str, identity: str, sender: str, recipients: Sequence[str], made_at: datetime
) -> EmailMessage:
    """Return the mail; its `Message-ID` is the same each time it is sent."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = f"[bailiwick] {title_of(notice)}"
    mail["Date"] = format_datetime(made_at)
    mail["Message-ID"] = f"<{identity}@{_domain(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(as_text(notice, link))
    return mail


def as_text(notice: Notice, link: str) -> str:
    """Return title, lines and link, one below the other."""
    parts = [title_of(notice), "", *lines_of(notice)]
    return "\n".join([*parts, "", link] if link else parts) + "\n"


def _text(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].strip("> ") or "bailiwick"
