"""Who may do what with which file, for one session: asked before anything is opened, and again of what was opened.

INVARIANT: of what is outside of the scope and of what does not exist the same is said, in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bailiwick.decide.allowed import allowed_files
from bailiwick.decide.calls import Admitted, Decided, Held, Refused
from bailiwick.decide.files import Placed, could
from bailiwick.decide.limits import strictest
from bailiwick.gateway.approvals.records import verdict
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.people import told
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.file_paths import folded, path_problem
from bailiwick.match.masks import Digest
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Request
from bailiwick.model.files import FileVerb
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import ToolScope
from bailiwick.model.tool import keyed
from bailiwick.mounts.files.folders import Folders, Mounted
from bailiwick.mounts.files.store import Info, Parts, UnreadableError
from bailiwick.mounts.held_calls import Asked as HeldCall
from bailiwick.mounts.held_calls import Barred, Cleared, HeldCalls, Pending, Ran
from bailiwick.mounts.offered import NotDone
from bailiwick.mounts.tool_path import ToolPath, request_of


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of this gateway is held to."""

    longest_time: float
    """Seconds."""
    longest_answer: int
    """Bytes."""
    digest: Digest


@dataclass(frozen=True, slots=True)
class Asked:
    """What an agent asks of a mount."""

    mount: str
    path: str
    purpose: str = ""
    patience: float = 0.0
    """Seconds that it waits for people, where a gate holds it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A path within the scope."""

    mounted: Mounted
    path: str
    placed: Placed
    tools: Mapping[FileVerb, ToolScope]
    """Of the verbs that were asked for, those that may reach it."""

    @property
    def parts(self) -> Parts:
        """The parts of its path."""
        return tuple(self.path.split("/"))


@dataclass(frozen=True, slots=True)
class Going:
    """What was admitted, and under which approval of people, if one was needed."""

    admitted: Admitted
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a file, as grants and gates see it."""

    info: Info | None = None
    type: str | None = None
    size: int | None = None
    """Of what is written; else that of the file."""
    more: Mapping[str, str] = field(default_factory=dict[str, str])


class Admission:
    """The questions of one session."""

    def __init__(self, gateway: Gateway, live: Live, folders: Folders, terms: Terms) -> None:
        self.gateway = gateway
        self.live = live
        self.folders = folders
        self.terms = terms
        self.path = ToolPath(gateway, live)
        self._held = HeldCalls(gateway, live, self.path)

    def mounts(self) -> tuple[str, ...]:
        """Return the mounts of files of which the session has something."""
        reached = {tool.mount for tool in self.live.files.tools.values()}
        return tuple(name for name in sorted(reached) if self.folders.get(name) is not None)

    def target(self, asked: Asked, verbs: Sequence[FileVerb]) -> Target | Denial:
        """Return what a path is for the session; a denial when none of the verbs can reach it."""
        blocked = self.live.blocked(asked.mount)
        if blocked is not None:
            return blocked
        mounted = self.folders.get(asked.mount) if asked.mount in self.mounts() else None
        if mounted is None:
            known = ", ".join(f"`{name}`" for name in self.mounts())
            return Denial("resource_unknown", "that is no mount of files of this session", known)
        problem = path_problem(asked.path)
        if problem:
            hint = "write it from the root of the mount, as in `kb/articles/refunds.md`"
            return Denial("argument_not_granted", f"this is no path of a file: {problem}", "", hint)
        return self.known_target(mounted, asked.path, verbs) or self.absent(asked, verbs)

    def known_target(self, mounted: Mounted, path: str, verbs: Sequence[FileVerb]) -> Target | None:
        """Return what a path is; None when none of the verbs can reach it."""
        placed = mounted.places.place(path)
        if placed is None:
            return None
        asking = self.gateway.asking(self.live)
        found: dict[FileVerb, ToolScope] = {}
        for verb in verbs:
            tool = self.tool(mounted, placed.resource, verb)
            if tool is not None and could(asking, tool, path, placed):
                found[verb] = tool
        return Target(mounted, path, placed, found) if found else None

    def tool(self, mounted: Mounted, resource: str, verb: FileVerb) -> ToolScope | None:
        """Return what the session may do, by a verb, with the files of a resource."""
        return self.live.files.tools.get(keyed("file", f"{mounted.mount.name}/{resource}:{verb}"))

    def absent(self, asked: Asked, verbs: Sequence[FileVerb]) -> Denial:
        """Return the denial of what does not exist, or not for this session."""
        tools = [
            tool
            for verb in verbs
            for tool in self.live.files.tools.values()
            if tool.mount == asked.mount and tool.tool.action.verb == verb
        ]
        allowed = allowed_files(self.gateway.asking(self.live), tools)
        message = f"there is no such file that this session may {verbs[-1]}"  # the ledger is told no path
        remedy = "`list_files` shows what there is" if "list" not in verbs else ""
        return Denial("resource_unknown", message, allowed, remedy)

    def decide(self, target: Target, verb: FileVerb, known: Known) -> Decided:
        """Decide what is done with a file, by all that is known of it."""
        return self.gateway.decide_file(self.live, _name(target, verb), self.facts(target, known))

    def facts(self, target: Target, known: Known) -> dict[str, object]:
        """Return what is known of a file as arguments."""
        found: dict[str, object] = {
            "path": target.path,
            "folded": folded(target.path),
            "level": target.placed.level,
            **known.more,
        }
        size = known.size if known.size is not None or known.info is None else known.info.size
        modified: datetime | None = None if known.info is None else known.info.modified
        found |= {"size": size} if size is not None else {}
        found |= {"type": known.type} if known.type is not None else {}
        return found | ({"modified": modified.isoformat()} if modified is not None else {})

    async def clear(self, decided: Decided, target: Target, verb: FileVerb, asked: Asked) -> Going | NotDone:
        """Return what may be done now: decided so, or approved by people; else what is said instead."""
        if isinstance(decided, Admitted):
            return Going(_labelled(decided, target))
        if isinstance(decided, Refused):
            return await self.refuse(asked, verb, decided.decision.denial, target, decided.decision)
        told = HeldCall(keyed("file", _name(target, verb)), self.statement(verb, target), asked.purpose)
        cleared = await self._held.clear(decided, told, asked.patience)
        match cleared:
            case Pending():
                return NotDone(cleared.denial, cleared.record, cleared.approval)
            case Barred():
                return NotDone(cleared.denial, cleared.record)
            case Ran():
                return NotDone(verdict(cleared.approval))  # never: the gateway runs no file's approval by itself
            case Cleared(admitted, approval):
                return Going(_labelled(admitted, target), approval)

    def call(self, going: Going, target: Target, verb: FileVerb, asked: Asked, **more: JsonValue) -> Call:
        """Return the call as the ledger will tell it."""
        detail: dict[str, JsonValue] = {"verb": verb, "labels": [*sorted(target.placed.labels)], **more}
        request = request_of(going.admitted.tool, asked.purpose)
        mount = target.mounted.mount.name
        return Call(mount, self.statement(verb, target), request, going.admitted.allow, {"file": detail})

    def statement(self, verb: str, target: Target) -> str:
        """Return what was asked as the ledger tells it: of what is restricted, a digest of the path."""
        return f"{verb} {target.mounted.mount.name}/{self.told(target.path, target.placed)}"

    def digested(self, content: str) -> str:
        """Return the SHA-256 of a content as the ledger tells it: of a short one it would tell what it is."""
        return told(self.live.digest, content)

    def told(self, path: str, placed: Placed) -> str:
        """Return a path as the ledger tells it."""
        return path if placed.level != "restricted" else told(self.live.digest, path)

    async def refuse(
        self, asked: Asked, verb: str, denial: Denial, target: Target | None = None, decision: Decision | None = None
    ) -> NotDone:
        """Record what is not done. A path that is of no resource is nobody's to read in the ledger."""
        mount = asked.mount if self.folders.get(asked.mount) is not None else ""
        request = Request(mount, (), asked.purpose)
        path = asked.path.encode("utf-8", "replace").decode()  # it may be no Unicode at all
        statement = f"{verb} {mount}/{told(self.live.digest, path)}"
        if target is not None:
            tool = next(iter(target.tools.values()))
            request, statement = request_of(tool, asked.purpose), self.statement(verb, target)
        return NotDone(denial, await self.path.refuse(statement[:2000], request, decision or Deny(denial)))

    async def unavailable(self, asked: Asked, verbs: Sequence[FileVerb], target: Target, error: Exception) -> NotDone:
        """Record that a place cannot be reached. Of one file that says it to those alone that a verb is granted to,
        whatever the file is: else it would tell that there is one."""
        found = unavailable(error)
        if isinstance(error, UnreadableError):
            granted = any(not isinstance(self.decide(target, verb, Known()), Refused) for verb in target.tools)
            found = found if granted else self.absent(asked, verbs)
        return await self.refuse(asked, verbs[-1], found, target)


def unavailable(error: Exception) -> Denial:
    """Return the denial where a place cannot be reached."""
    why = str(error.args[0]) if error.args else "it does not answer"
    return Denial("backend_unavailable", f"the files of this mount are not available: {why}", remedy="try again later")


def changed(what: str = "the file is not what it was any more") -> Denial:
    """Return the denial of what was decided about another version."""
    return Denial("data_changed", what, "", "look at it again, then decide what to do")


def union(allows: Iterable[Allow]) -> Allow:
    """Return one allow for several: every grant that contributed is charged, every ceiling holds."""
    found = Allow(())
    for each in allows:
        found = Allow(
            tuple(dict.fromkeys((*found.grants, *each.grants))),
            found.labels | each.labels,
            strictest(found.ceilings, each.ceilings),
            tuple({budget.key: budget for budget in (*found.budgets, *each.budgets)}.values()),
        )
    return found


def is_held(decided: Decided) -> bool:
    """Return whether people would have to approve it."""
    return isinstance(decided, Held)


def _labelled(admitted: Admitted, target: Target) -> Admitted:
    return replace(admitted, allow=replace(admitted.allow, labels=target.placed.labels))


def _name(target: Target, verb: FileVerb) -> str:
    return f"{target.mounted.mount.name}/{target.placed.resource}:{verb}"
