"""Notices that lists have changed, and the subscriptions to them of the modern revision, as messages. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bailiwick.mounts.mcp.message import Json, Message, result_of

LISTS = ("tools", "prompts", "resources")


def wants(subscribed: Message | None, kind: str) -> bool:
    """Return whether a listener is to hear of a list: without a subscription of all of them."""
    if subscribed is None:
        return True
    wanted = subscribed.params.get("notifications")
    return isinstance(wanted, dict) and cast("dict[str, Json]", wanted).get(f"{kind}ListChanged") is True


def changed(subscribed: Message | None, kind: str) -> Json:
    """Return the notice that a list is another one now."""
    params = {} if subscribed is None else {"params": {"_meta": _mark(subscribed)}}
    return {"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed", **params}


def acknowledged(subscribed: Message) -> Json:
    """Return what a subscription begins with: what of it is served."""
    agreed = {f"{kind}ListChanged": True for kind in LISTS if wants(subscribed, kind)}
    params = {"_meta": _mark(subscribed), "notifications": agreed}
    return {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": params}


def ended(subscribed: Message) -> Json:
    """Return what a subscription ends with when it is the gateway that ends it."""
    return result_of(subscribed.id, {"resultType": "complete", "_meta": _mark(subscribed)})


def _mark(message: Message) -> Mapping[str, Json]:
    return {"io.modelcontextprotocol/subscriptionId": message.id}
