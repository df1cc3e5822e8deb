"""Held changes as the admin socket tells them."""

from __future__ import annotations

import json
from typing import cast

from bailiwick.gateway.change_store import shown_to_json
from bailiwick.gateway.wire import Json
from bailiwick.model.change import HeldChange


def change_told(change: HeldChange) -> dict[str, Json]:
    """Return one line of a list of changes."""
    return {
        "id": change.id,
        "state": change.state,
        "agent": change.agent,
        "user": change.user or None,
        "task": change.task or None,
        "session": change.session,
        "mount": change.mount,
        "actions": [*change.actions],
        "rows": change.previewed.rows,
        "made_at": change.made_at.isoformat(timespec="seconds"),
    }


def change_in_full(change: HeldChange) -> dict[str, Json]:
    """Return everything about a change: what runs once it is approved, and what that would do."""
    return {
        **change_told(change),
        "statement": change.asked.statement,
        "parameters": cast("Json", json.loads(change.asked.parameters)),
        "digest": change.asked.digest,
        "policy": change.policy,
        "grants": [*change.grants],
        "purpose": change.purpose,
        "preview": change.asked.preview,
        "keys": change.previewed.keys or None,
        "shown": cast("Json", shown_to_json(change.previewed.shown)),
    }
