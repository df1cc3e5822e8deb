"""Calls as approvals keep them: their arguments as one text, and their digest."""

from __future__ import annotations

import hashlib
import json
from typing import cast

from bailiwick.decide.asking import Arguments, accepted_properties
from bailiwick.decide.calls import Admitted
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import Subject
from bailiwick.model.scope import ToolScope


def digest_of(live: Live, name: str, admitted: Admitted) -> str:
    """Return the digest of a call. INVARIANT: another session, policy, tool, name or argument gives another one."""
    tool = admitted.tool
    parts = (live.session.id, live.policy, tool.mount, tool.tool.key, name, content_of(admitted.arguments))
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def given_in(tool: ToolScope, subject: Subject) -> dict[str, Json]:
    """Return the arguments of a call that waits, without those that the gateway fills in or works out."""
    found = cast("dict[str, Json]", json.loads(subject.content))
    if tool.tool.own is not None:
        given = accepted_properties(tool.locked.definition)
        found = {name: value for name, value in found.items() if name in given}
    return {name: value for name, value in found.items() if name not in tool.tool.fixed}


def content_of(arguments: Arguments) -> str:
    """Return arguments as one text."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
