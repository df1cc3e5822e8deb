"""What the desk answers about suspensions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.errors import SessionError
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.notice import Notice
from bailiwick.model.suspension import Suspension, SuspensionKind

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]


def suspending(sessions: Sessions) -> Mapping[str, Answer]:
    """Return the requests: of each kind of thing one to stop it and one to let it go on, and the list."""

    def named(kind: SuspensionKind, fields: Fields) -> str:
        return "" if kind == "everything" else fields.text(kind)

    def stop(kind: SuspensionKind) -> Answer:
        async def answer(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
            name, reason = named(kind, fields), fields.text("reason")
            fields.done()
            await _known(sessions, kind, name)
            cut = await sessions.suspensions.suspend(kind, name, reason, by.name)
            return {"kind": kind, "name": name, "sessions": cut}

        return answer

    def resume(kind: SuspensionKind) -> Answer:
        async def answer(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
            name = named(kind, fields)
            fields.done()
            return {"resumed": suspension_told(await sessions.suspensions.resume(kind, name, by.name))}

        return answer

    async def listed(fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return {"suspensions": [suspension_told(each) for each in sessions.suspensions.list()]}

    return {
        "suspension.list": listed,
        "everything.suspend": stop("everything"),
        "everything.resume": resume("everything"),
        "agent.suspend": stop("agent"),
        "agent.resume": resume("agent"),
        "session.suspend": stop("session"),
        "session.resume": resume("session"),
        "mount.close": stop("mount"),
        "mount.open": resume("mount"),
    }


def suspension_told(suspension: Suspension) -> dict[str, Json]:
    """Return a suspension as the desk tells it."""
    return {
        "kind": suspension.kind,
        "name": suspension.name,
        "reason": suspension.reason,
        "by": suspension.by,
        "at": suspension.at.isoformat(timespec="seconds"),
    }


def suspension_notice(suspension: Suspension, *, made: bool) -> Notice:
    """Return what people are told of a suspension that was made, or lifted."""
    what = "everything" if suspension.kind == "everything" else f"{suspension.kind} {suspension.name}"
    done = ("closed" if made else "open again") if suspension.kind == "mount" else "suspended" if made else "goes on"
    lines = (f"reason: {suspension.reason}", f"suspended by {suspension.by}")
    verb = "" if done == "goes on" else "is "
    return Notice("suspension", suspension.name or "everything", f"{what} {verb}{done}", lines, "/console")


async def _known(sessions: Sessions, kind: SuspensionKind, name: str) -> None:
    """Raise SessionError for what there is none of: a name typed wrongly must not look like a suspension."""
    policy = sessions.force.policy
    if kind == "session":
        await sessions.find(name)
        return
    known = {"agent": tuple(policy.agents), "mount": policy.every_mount}.get(kind)
    if known is not None and name not in known:
        remedy = f"the {kind}s are " + ", ".join(f"`{each}`" for each in known)
        raise SessionError(f"there is no {kind} `{name[:100]}`", remedy=remedy)
