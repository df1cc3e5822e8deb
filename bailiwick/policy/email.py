"""Mounts of kind `email`: YAML → `model.email.EmailMount`; and what of their templates is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import cast

from bailiwick.match.addresses import Fault, name_fault, read_address
from bailiwick.model.action import Action
from bailiwick.model.email import EmailMount, Template
from bailiwick.model.tool import LockedTool, Tool
from bailiwick.policy.document import Block, Entry, Node
from bailiwick.policy.expect import block, name_is_good, required, several, text
from bailiwick.policy.locked_tools import locked_tool
from bailiwick.policy.mcp import tool_resources
from bailiwick.policy.problem import Report, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import grant_limits, mount_limits, secret_url

email_keys = (
    *("kind", "smtp", "from", "name", "templates", "internal", "authority"),
    *("resource", "resources", "prefix", "description", "limits"),
)
SEND = "send"
_DOMAIN = re.compile(r"(?:\*\.)?[a-z0-9]+(?:[.-][a-z0-9]+)*")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_DESCRIPTION = "Sends an e-mail: a template with its variables, or a text where the session may write one."


def email_mount(reading: Reading, entry: Entry, found: Block) -> EmailMount | None:
    """Return one mount of kind `email`; None when it has no server or no sender."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, email_keys)
    smtp, sender = required(report, found, "smtp", what), required(report, found, "from", what)
    place = secret_url(report, smtp.value, f"`smtp` of {what}", ("smtp", "smtps")) if smtp else None
    address = _address(report, sender.value, f"`from` of {what}") if sender else None
    internal, named = found.get("internal"), found.get("resource")
    resource = text(report, named.value, f"`resource` of {what}") if named else "email"
    known = resource is not None and name_is_good(report, resource, entry.position, "resource")
    send = Tool(
        SEND,
        Action(resource if known and resource else "email", SEND),
        description=_text(report, found, "description", what) or None,
        effects=frozenset({"external"}),
        target=(),
        own="email",
        position=entry.position,
    )
    resources = tool_resources(reading, found, entry, (send,))
    reading.batched |= resources.keys()
    if place is None or address is None:
        return None
    return EmailMount(
        name=entry.key,
        smtp=place,
        sender=address,
        tools={SEND: send},
        resources=resources,
        sender_name=_name(report, found, what),
        templates=_text(report, found, "templates", what),
        internal=several(report, internal.value, f"`internal` of {what}", _domain) if internal else (),
        authority=_text(report, found, "authority", what),
        prefix=_prefix(report, found, what),
        limits=mount_limits(report, found, what, grant_limits),
        position=entry.position,
    )


def _text(report: Report, found: Block, key: str, what: str) -> str:
    entry = found.get(key)
    return (text(report, entry.value, f"`{key}` of {what}") or "") if entry else ""


def _address(report: Report, node: Node, what: str) -> str | None:
    given = text(report, node, what)
    read = read_address(given) if given is not None else None
    if isinstance(read, Fault):
        report.error(node.position, "bad_address", f"{what}: {read.message}", read.remedy)
    return str(read) if read is not None and not isinstance(read, Fault) else None


def _name(report: Report, found: Block, what: str) -> str:
    given, entry = _text(report, found, "name", what), found.get("name")
    wrong = name_fault(given) if given else None
    if wrong is not None and entry:
        report.error(entry.position, "bad_name", f"`name` of {what}: {wrong.message}", wrong.remedy)
    return given


def _prefix(report: Report, found: Block, what: str) -> str:
    given, entry = _text(report, found, "prefix", what), found.get("prefix")
    if given and entry and not _PREFIX.fullmatch(given):
        report.error(entry.position, "bad_name", f"`prefix` of {what} is {quoted(given)}", "letters, digits and `_`")
    return given


def _domain(report: Report, node: Node, what: str) -> str | None:
    given = text(report, node, what)
    if given is None or _DOMAIN.fullmatch(given):
        return given
    report.error(node.position, "bad_domain", f"{what}: {quoted(given)} is not a domain", "write `example.com`")
    return None


def locked_send(templates: Iterable[Template]) -> LockedTool:
    """Return `send` with these templates, ready to be accepted."""
    from bailiwick.decide.templates import definition_of  # brings Jinja, which few policies need

    known = {each.name: definition_of(each) for each in templates}
    addresses: Mapping[str, object] = {"type": "array", "items": {"type": "string", "format": "email"}, "minItems": 1}
    properties: dict[str, object] = {
        "to": {**addresses, "description": "Addresses."},
        "cc": addresses,
        "bcc": addresses,
        "reply_to": addresses,
        "template": {"type": "string", "description": "The name of a template."},
        "variables": {"type": "object", "description": "The template's variables, by name."},
        "subject": {"type": "string"},
        "body": {"type": "string", "description": "Plain text."},
        "html": {"type": "string"},
        "attachments": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Files that go with it, each as `MOUNT/PATH` of a mount of files.",
        },
    }
    if known:
        properties["template"] = {**cast("dict[str, object]", properties["template"]), "enum": sorted(known)}
    schema = {"type": "object", "properties": properties}
    return locked_tool(SEND, {"description": _DESCRIPTION, "inputSchema": schema, "templates": known})
