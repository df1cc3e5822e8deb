"""What `send` does: the message that was admitted is composed, given to the mount's server once, and that recorded."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bailiwick.decide.limits import exceeded
from bailiwick.decide.messages import ATTACHED
from bailiwick.gateway.call import Call
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Denial
from bailiwick.model.email import Attachment, EmailMount
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.email.attaching import Attaching, Fetch
from bailiwick.mounts.email.compose import composed, recipients_of
from bailiwick.mounts.email.server import Delivery, MailServer, Place, place_of, tls_of
from bailiwick.mounts.email.told import described
from bailiwick.mounts.offered import Before, NotDone, Order, Told
from bailiwick.mounts.tool_path import Done, ToolPath, request_of


@dataclass(frozen=True, slots=True)
class _Mounted:
    mount: EmailMount
    place: Place
    server: MailServer


class Mails:
    """The mounts of kind `email` of the policy in force."""

    def __init__(self, base: Path, longest_time: float, fetch: Fetch | None = None) -> None:
        self._base = base
        self._attaching = Attaching(fetch)
        self._longest_time = longest_time
        self._mounted: Mapping[str, _Mounted] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that cannot be served."""
        for name, mount in ready.force.policy.email.items():
            place_of(name, ready.mails[name])
            tls_of(name, mount.authority, self._base)

    def install(self, ready: Ready) -> None:
        """Serve another policy. The connections of a mount that stays as it was are kept. Raises ConfigError."""
        before = self._mounted
        made: dict[str, _Mounted] = {}
        for name, mount in ready.force.policy.email.items():
            place, known = place_of(name, ready.mails[name]), before.get(name)
            same = known is not None and known.place == place and known.mount.authority == mount.authority
            server = (
                known.server
                if known is not None and same
                else MailServer(place, tls_of(name, mount.authority, self._base))
            )
            made[name] = _Mounted(mount, place, server)
        self._mounted = made
        kept = {id(each.server) for each in made.values()}
        for each in before.values():
            if id(each.server) not in kept:
                task = asyncio.get_running_loop().create_task(each.server.close())
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End all connections."""
        await asyncio.gather(*self._ending, *(each.server.close() for each in self._mounted.values()))

    def described(self, live: Live, tool: ToolScope) -> str:
        """Return what an agent is told of `send`."""
        session = live.session
        return described(tool, lambda ref: session.value(ref.path), utc_now())

    def prepared(self, live: Live, before: Before) -> AbstractAsyncContextManager[NotDone | None]:
        """Have the attachments of a message at hand; see `Doing`."""
        return self._attaching.prepared(live, before)

    async def run(self, path: ToolPath, live: Live, order: Order) -> Done[Told]:
        """Send a message that was admitted; see `Doing`."""
        mounted = self._mounted.get(order.admitted.tool.mount)
        attached = self._attaching.of(live, order.admitted.arguments)
        sending = _Sending(mounted, order, self._longest_time, attached)
        call = Call(
            order.admitted.tool.mount,
            order.statement,
            request_of(order.admitted.tool, order.purpose),
            order.admitted.allow,
            {"tool": order.admitted.tool.tool.name, **_facts(order)},
        )
        return await path.run(
            call,
            sending.run,
            intends=True,
            happened=sending.happened,
            approval=order.approval,
            watched=order.watched,
        )


def _facts(order: Order) -> dict[str, JsonValue]:
    """Return what the record tells of a message, beside its arguments: where it goes, not what it says."""
    arguments = order.admitted.arguments
    template = arguments.get("template")
    found: dict[str, JsonValue] = {
        "recipients": cast("int", arguments["recipients"]),
        "external": cast("int", arguments["external"]),
        "domains": cast("list[JsonValue]", arguments["domains"]),
    }
    for name in (f"{ATTACHED}.{each}" for each in ("number", "size", "labels")):
        if name in arguments:
            found[name.replace(f"{ATTACHED}.", "attached_")] = cast("JsonValue", arguments[name])
    return {**found, "template": template} if isinstance(template, str) else found


class _Sending:
    """One message on its way."""

    def __init__(
        self,
        mounted: _Mounted | None,
        order: Order,
        longest_time: float,
        attached: Sequence[tuple[Attachment, bytes]] | None,
    ) -> None:
        self._attached = attached
        self._mounted = mounted
        self._arguments = order.admitted.arguments
        self._bounds = order.admitted.allow.ceilings or Ceilings()
        self._longest_time = longest_time
        self._identity = secrets.token_hex(16)
        self._given = False
        self._delivery: Delivery | None = None

    def happened(self) -> Mapping[str, JsonValue]:
        """Return what became of it, for its record. What was begun and not finished is `unknown`."""
        if not self._given:
            return {}
        found = self._delivery or Delivery("unknown")
        told: dict[str, JsonValue] = {"delivery": found.fate, "message": self._identity}
        if found.code:
            told["smtp"] = found.code
        return {**told, "refused": len(found.refused)} if found.refused else told

    async def run(self) -> Done[Told]:
        """Send it."""
        mounted, recipients = self._mounted, recipients_of(self._arguments)
        if mounted is None:
            return Done(denial=Denial("backend_unavailable", "this mount is gone", remedy="ask again"))
        if self._bounds.batch is not None and len(recipients) > self._bounds.batch:
            return Done(denial=_too_many(self._bounds.batch, len(recipients)))
        if self._attached is None:
            return Done(denial=_OTHER_FILES)
        parts = mounted.mount, self._arguments, utc_now(), self._identity, self._attached
        message = await asyncio.to_thread(composed, *parts) if self._attached else composed(*parts)
        if self._bounds.bytes is not None and len(message) > self._bounds.bytes:
            return Done(denial=Denial("bytes_exceeded", f"the message has more than {self._bounds.bytes} bytes"))
        seconds = min(self._longest_time, self._bounds.timeout or self._longest_time)
        self._given = True
        try:
            async with asyncio.timeout(seconds):
                self._delivery = await mounted.server.send(mounted.mount.sender, recipients, message)
        except TimeoutError:
            self._delivery = Delivery("unknown")
            if self._bounds.timeout is not None and seconds == self._bounds.timeout:
                return Done(denial=exceeded("timeout_exceeded", self._bounds, 0))
        return self._told(self._delivery, recipients, len(message))

    def _told(self, found: Delivery, recipients: list[str], size: int) -> Done[Told]:
        if found.fate == "accepted":
            shown: Told = {"delivery": "accepted", "message": self._identity, "recipients": len(recipients)}
            return Done(shown, items=len(recipients), size=size)
        code = f"smtp_{found.code}" if found.code else ""
        if found.refused:
            whom = ", ".join(found.refused[:10])
            message = f"the mail server does not take these recipients, so nobody got the message: {whom}"
            return Done(
                denial=Denial("message_not_delivered", message, remedy="correct them, or leave them out"), code=code
            )
        if found.fate == "refused":
            message = f"the mail server does not take the message (code {found.code})"
            return Done(
                denial=Denial("message_not_delivered", message, remedy="tell the gateway's operator"), code=code
            )
        if found.fate == "unavailable":
            message = "the mail server is not available; nothing was sent"
            return Done(denial=Denial("backend_unavailable", message, remedy="try again later"))
        message = "the connection was lost while the message was handed over: whether it was sent is not known"
        return Done(denial=Denial("message_unknown", message, remedy="find out before sending it again"))


_OTHER_FILES = Denial(
    "data_changed", "the attachments are not what was decided on any more", remedy="send the message anew"
)


def _too_many(most: int, real: int) -> Denial:
    message = f"the message has {real} recipients, but it may have at most {most}"
    return Denial("batch_exceeded", message, f"up to {most} recipients of one message", "send several messages")
