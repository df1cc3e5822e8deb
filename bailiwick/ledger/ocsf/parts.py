"""The objects of OCSF that events are made of: who, where, on which policy, which data."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from bailiwick.model.record import JsonValue

Json = dict[str, JsonValue]
Document = Mapping[str, JsonValue]

PRODUCT: JsonValue = {"name": "Bailiwick", "vendor_name": "Bailiwick"}
_GATEWAY = "gateway"


def text(document: Document, name: str) -> str:
    """Return a text of a record; empty where it has none."""
    value = document.get(name)
    return value if isinstance(value, str) else ""


def texts(document: Document, name: str) -> tuple[str, ...]:
    """Return a list of texts of a record."""
    value = document.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def number(document: Document, name: str) -> int | None:
    """Return a number of a record."""
    value = document.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def detail_of(document: Document) -> Document:
    """Return the facts of its kind."""
    value = document.get("detail")
    return value if isinstance(value, dict) else {}


def service_user(agent: str) -> Json:
    """Return an agent as a user."""
    return {"name": agent, "uid": agent, "type_id": 4, "type": "Service"}


def person(name: str) -> Json:
    """Return a person as a user."""
    return {"name": name, "uid": name, "type_id": 1, "type": "User"}


def user_of(document: Document) -> Json:
    """Return whom a record is about: the agent, else the person, else who did it, else the gateway itself."""
    agent, detail = text(document, "agent"), detail_of(document)
    if agent or text(detail, "agent"):
        return service_user(agent or text(detail, "agent"))
    for name in (text(document, "user"), *(text(detail, key) for key in ("user", "caller", "client", "by", "opener"))):
        if name:
            return person(name)
    return {"name": _GATEWAY, "uid": _GATEWAY, "type_id": 3, "type": "System"}


def actor_of(document: Document) -> Json:
    """Return who acted: the person for whom, else who did it; the agent is the application by which they did."""
    detail, agent = detail_of(document), text(document, "agent")
    names = (text(document, "user"), *(text(detail, key) for key in ("by", "caller", "opener", "client")))
    who = next((name for name in names if name), "")
    actor: Json = {"user": person(who) if who else user_of(document)}
    if agent:
        actor |= {"app_name": agent, "app_uid": agent}
    chain = texts(document, "chain")
    if chain:
        actor["invoked_by"] = " > ".join(chain)
    session = text(document, "session")
    if session:
        actor["session"] = {"uid": session}
    return actor


def source_of(document: Document) -> Json:
    """Return where it came from: the address, where the record has one, else the session of the agent."""
    host, port = _address(text(detail_of(document), "peer"))
    agent, session = text(document, "agent"), text(document, "session")
    found: Json = {"name": agent or _GATEWAY}
    if session:
        found["uid"] = session
    if host:
        found["ip"] = host
    if port is not None:
        found["port"] = port
    return found


def _address(peer: str) -> tuple[str, int | None]:
    host, _, port = peer.rpartition(":")
    for candidate, of in ((peer, ""), (host.strip("[]"), port)):
        try:
            ip_address(candidate)
        except ValueError:
            continue
        return candidate, int(of) if of.isascii() and of.isdigit() and int(of) <= 65535 else None
    return "", None


def policy_of(document: Document) -> Json | None:
    """Return the policy that was in force."""
    version = text(document, "policy")
    return {"name": "policy", "uid": version, "version": version} if version else None


def authorizations_of(document: Document) -> list[JsonValue]:
    """Return the grants by which it was decided."""
    decision = text(document, "decision") or "none"
    return [{"decision": decision, "policy": {"uid": grant, "type": "grant"}} for grant in texts(document, "grants")]


def resources_of(document: Document) -> list[JsonValue]:
    """Return which data it was about: resources, the fields touched of each, labels."""
    fields = document.get("fields")
    touched = fields if isinstance(fields, dict) else {}
    names = dict.fromkeys([action.partition(":")[0] for action in texts(document, "actions")] + list(touched))
    labels = texts(document, "labels")
    found: list[JsonValue] = []
    for name in names:
        each: Json = {"name": name, "type": "resource", "role_id": 1}
        if name in touched:
            each["data"] = {"fields": touched[name]}
        if labels:
            each["labels"] = [*labels]
        found.append(each)
    return found


def entity_of(document: Document) -> Json:
    """Return the thing that was managed."""
    kind, detail = text(document, "kind"), detail_of(document)
    what = kind.partition(".")[0] or "record"
    names = (text(detail, key) for key in (what, "approval", "elevation", "pending", "review", "name"))
    name = next((each for each in names if each), "")
    if what == "session":
        name = text(document, "session") or name
    if what == "mount":
        name = text(document, "mount") or name
    if what == "policy":
        name = name or text(document, "policy")
    return {"name": name or what, "uid": name or what, "type": what}
