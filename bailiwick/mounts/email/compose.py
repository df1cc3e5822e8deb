"""Messages as they are sent: made of addresses and texts that were understood, never of bytes that an agent wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import cast

from bailiwick.decide.calls import Arguments
from bailiwick.model.email import EmailMount

_POLICY = SMTP.clone(cte_type="7bit", max_line_length=78)
_LISTS = {"to": "To", "cc": "Cc", "reply_to": "Reply-To"}


def recipients_of(arguments: Arguments) -> list[str]:
    """Return who gets it."""
    named = [each for key in ("to", "cc", "bcc") for each in _addresses(arguments.get(key))]
    return [*dict.fromkeys(named)]


def _addresses(found: object) -> Sequence[str]:
    return cast("list[str]", found) if isinstance(found, list) else ()


def composed(mount: EmailMount, arguments: Arguments, now: datetime, identity: str) -> bytes:
    """Return the bytes of a message; `identity`: what makes it this one. Who is in `bcc` stands nowhere in it."""
    said = cast("Mapping[str, str]", arguments["message"])
    made = EmailMessage(_POLICY)
    made["From"] = _mailbox(mount.sender, mount.sender_name)
    for key, header in _LISTS.items():
        listed = [_mailbox(each) for each in _addresses(arguments.get(key))]
        if listed:
            made[header] = listed
    if "To" not in made:
        made["To"] = "undisclosed-recipients:;"
    made["Subject"] = said["subject"]
    made["Date"] = now
    made["Message-ID"] = f"<{identity}@{mount.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    text = said["text"].replace("\r\n", "\n")
    if text:
        made.set_content(text)
    if said["html"]:
        markup = said["html"].replace("\r\n", "\n")
        made.add_alternative(markup, subtype="html") if text else made.set_content(markup, subtype="html")
    return made.as_bytes()


def _mailbox(address: str, name: str = "") -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
