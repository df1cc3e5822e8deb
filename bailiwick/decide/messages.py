"""What a call of `send` means: whom it reaches, what it says, where its links lead. Pure.

These facts are arguments like those that the agent gave, so that grants, denies and gates bound them, people who
approve the call see them, and what was approved is, to the letter, what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bailiwick.decide.asking import UnclearError
from bailiwick.decide.templates import TemplateFaultError, longest_message, own_links, rendered, templates_in, typed
from bailiwick.match.addresses import Address, Fault, is_internal, read_mailbox
from bailiwick.match.links import is_active, links_in
from bailiwick.match.scripts import invisible
from bailiwick.model.email import Attachment, EmailMount, Template
from bailiwick.model.label import level_of, levels

RECIPIENTS = ("to", "cc", "bcc", "reply_to")
"""Arguments that are lists of addresses. A reply goes where `reply_to` says, so it counts as a recipient."""
ATTACHED = "attachments"
GIVEN = (*RECIPIENTS, "template", "variables", "subject", "body", "html", ATTACHED)
"""What agents give."""
ATTACHED_LEVEL = "attachments.level"
_OF_ATTACHED = ("number", "size", "types", "labels", "level", "files")
FACTS = ("recipients", "external", "domains", "links", "message", *(f"{ATTACHED}.{each}" for each in _OF_ATTACHED))
"""What is worked out of that."""
VARIABLE = "variables."
most_recipients = 100
most_attached = 10
longest_subject = 400
_JOINERS = "\u200c\u200d"


def worked_out(
    mount: EmailMount, definition: str, given: Mapping[str, object], attached: Mapping[str, Attachment]
) -> dict[str, object]:
    """Return the arguments of a call in their one form, with its facts. Raises UnclearError.

    INVARIANT: facts are never taken from what is given."""
    found: dict[str, object] = {name: given[name] for name in GIVEN if name in given}
    lists = {name: _addresses(name, found[name]) for name in RECIPIENTS if name in found}
    if not any(lists.get(name) for name in ("to", "cc", "bcc")):
        raise UnclearError("the message has no recipient", "name somebody in `to`")
    reached = {str(each): each for one in lists.values() for each in one}
    if len(reached) > most_recipients:
        raise UnclearError(f"the message has more than {most_recipients} recipients", "send several")
    outside = [each for each in reached.values() if not is_internal(each.domain, mount.internal)]
    message, links, values = _said(definition, found)
    return {
        **found,
        **{name: [*dict.fromkeys(str(each) for each in one)] for name, one in lists.items()},
        **{VARIABLE + name: value for name, value in values.items() if value is not None},
        "recipients": len(reached),
        "external": len(outside),
        "domains": [*dict.fromkeys(each.domain for each in reached.values())],
        "links": links,
        "message": message,
        **(_attached(found[ATTACHED], attached) if ATTACHED in found else {}),
    }


def refs_of(given: object) -> list[str]:
    """Return what is to be attached, by reference, each once. Raises UnclearError."""
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    found = [*dict.fromkeys(each for each in listed if isinstance(each, str))]
    if not found or len(found) != len(listed):
        raise UnclearError("`attachments` is no list of different references", "write each as `MOUNT/PATH`")
    if len(found) > most_attached:
        raise UnclearError(f"the message has more than {most_attached} attachments", "send several")
    return found


def _attached(given: object, known: Mapping[str, Attachment]) -> dict[str, object]:
    refs = refs_of(given)
    found = [known[ref] for ref in refs if ref in known]
    if len(found) < len(refs):
        raise UnclearError("an attachment has not been read for this message", "ask for the message to be sent anew")
    level = max((level_of(each.labels) for each in found), key=levels.index)
    labels = {label for each in found for label in (*each.labels, level_of(each.labels))}
    told: dict[str, object] = {
        "number": len(found),
        "size": sum(each.size for each in found),
        "types": [*dict.fromkeys(each.type for each in found)],
        "labels": sorted(labels),
        "level": level,
        "files": [str(each) for each in found],
    }
    return {ATTACHED: refs, **{f"{ATTACHED}.{name}": value for name, value in told.items()}}


def _addresses(name: str, given: object) -> list[Address]:
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    if not listed:
        raise UnclearError(f"`{name}` is empty, which means nobody", "leave it out, or name somebody")
    found: list[Address] = []
    for each in listed:
        read = read_mailbox(each)
        if isinstance(read, Fault):
            raise UnclearError(f"`{name}`: {read.message}", read.remedy)
        found.append(read)
    return found


def _said(definition: str, found: Mapping[str, object]) -> tuple[dict[str, str], list[str], Mapping[str, object]]:
    """Return subject, text and HTML; the links that no template brought; the values of the template's variables."""
    template = found.get("template")
    if template is None:
        if "variables" in found:
            raise UnclearError("`variables` belong to a `template`", "name the template")
        message = _free(found)
        return message, _links(message, frozenset()), {}
    if {"subject", "body", "html"} & found.keys():
        raise UnclearError("a message is a `template`, or has a `subject` and a `body`", "leave one of them out")
    known = templates_in(definition).get(template) if isinstance(template, str) else None
    if known is None:
        raise UnclearError("there is no such template", "name one that the tool's description tells of")
    message, values = _filled_in(known, found.get("variables"))
    return message, _links(message, own_links(known)), values


def _filled_in(template: Template, given: object) -> tuple[dict[str, str], Mapping[str, object]]:
    if given is not None and not isinstance(given, dict):
        raise UnclearError("`variables` is not an object", "give each variable its value by name")
    try:
        values = typed(template, cast("Mapping[str, object]", given or {}))
        message = rendered(template, values)
    except TemplateFaultError as error:
        raise UnclearError(f"template `{template.name}`: {error}", _declared(template)) from None
    if is_active(message["html"]):  # by its variables: of what is accepted none is
        raise UnclearError("`html` would have a link that does something", "give the variables plain texts")
    return message, values


def _declared(template: Template) -> str:
    names = ", ".join(f"`{name}` ({each.type})" for name, each in template.variables.items())
    return f"its variables are {names}" if names else "it has no variables"


def _free(found: Mapping[str, object]) -> dict[str, str]:
    subject, body, markup = found.get("subject"), found.get("body", ""), found.get("html", "")
    if not isinstance(subject, str) or not isinstance(body, str) or not isinstance(markup, str):
        raise UnclearError("the message has no `subject` or no `body`", "give both as texts")
    if not body.strip() and not markup.strip():
        raise UnclearError("the message has no `subject` or no `body`", "give both as texts")
    if not subject.strip() or len(subject) > longest_subject or invisible(subject, _JOINERS):
        raise UnclearError("`subject` is not one line of visible text", f"at most {longest_subject} characters")
    for name, text in (("body", body), ("html", markup)):
        if len(text) > longest_message:
            raise UnclearError(f"`{name}` is longer than {longest_message} characters", "say it in fewer words")
        if invisible(text.replace("\r\n", "\n"), _JOINERS + "\n\t"):
            raise UnclearError(f"`{name}` has characters that cannot be seen", "leave them out")
    if is_active(markup):
        raise UnclearError("`html` has a link that would do something", "link to `https://` addresses")
    return {"subject": subject.strip(), "text": body, "html": markup}


def _links(message: Mapping[str, str], own: frozenset[str]) -> list[str]:
    found = [*links_in(f"{message['subject']}\n{message['text']}"), *links_in(message["html"], markup=True)]
    return [host for host in dict.fromkeys(found) if host not in own]
