"""The requests of one session: routed, decided, done, on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bailiwick.decide.calls import Admitted, Held, Refused, unknown, without_waiting
from bailiwick.gateway.approvals.executing import Void
from bailiwick.gateway.approvals.results import Came
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.people import told as digest_told
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.approval import Approval
from bailiwick.model.decision import Decision, Denial, Deny, Request
from bailiwick.model.route import Route
from bailiwick.model.tool import keyed
from bailiwick.mounts.held_calls import Asked, Barred, Cleared, HeldCalls, Pending, Ran, decided_again, status
from bailiwick.mounts.http.answers import Headers, Shown, json_shown, problem
from bailiwick.mounts.http.apis import Apis, Mounted
from bailiwick.mounts.http.arguments import RefusedError, gather, outgoing
from bailiwick.mounts.http.envelope import Fault, Head
from bailiwick.mounts.http.exchange import STREAMED, Exchange, Terms
from bailiwick.mounts.http.repeated import Repeated, Repetitions
from bailiwick.mounts.http.waiting import KeptAnswer, Line, patience_of, pending, ran, standing, told_of, with_approval
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.recorded import digested, in_clear, statement_of
from bailiwick.mounts.tool_path import NO_LEDGER, Done, ToolPath, refused_request, request_of

if TYPE_CHECKING:
    from bailiwick.mounts.http.graphql.graph import Graph
    from bailiwick.mounts.http.graphql.requests import Operations

_most_calls = 256


@dataclass(frozen=True, slots=True)
class Routed:
    """A request whose route the session has."""

    head: Head
    mounted: Mounted
    name: str
    """As the scope has it, without its kind."""
    route: Route
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Posted:
    """A request with an operation of GraphQL, of a mount of which the session has something."""

    head: Head
    mounted: Mounted
    graph: Graph


class Requests:
    """The requests of one session."""

    def __init__(self, gateway: Gateway, live: Live, apis: Apis, terms: Terms) -> None:
        self._gateway = gateway
        self._live = live
        self._apis = apis
        self._terms = terms
        self._path = ToolPath(gateway, live)
        self._operations: Operations | None = None
        self._held = HeldCalls(gateway, live, self._path)
        self._calls: dict[tuple[str, str, str, tuple[str, ...]], Call] = {}
        self._repetitions = Repetitions(live)

    def known(self, head: Head) -> Repeated | None:
        """Return what is known of a request that was admitted before, and may be done again as it was then."""
        if self._live.blocked() is not None:
            return None
        return self._repetitions.find(head, self._apis.get(head.mount))

    def route(self, head: Head) -> Routed | Posted | Denial:
        """Return the route of a request; what the session does not have does not exist."""
        blocked = self._live.blocked()
        if blocked is not None:
            return blocked
        mounted = self._apis.get(head.mount)
        if mounted is not None and head.method == "POST" and self._speaks(mounted, head.path) and mounted.graph:
            return Posted(head, mounted, mounted.graph)
        found = None if mounted is None else mounted.router.find(head.method, head.path)
        if mounted is not None and found is not None and found.target.route is not None:
            name = mounted.shown(found.target)
            if keyed("route", name) in self._live.routes.tools:
                return Routed(head, mounted, name, found.target.route, found.values)
        return unknown(self._live.routes, f"{head.method} /{head.mount}{head.path}"[:300], "route").denial

    def _speaks(self, mounted: Mounted, path: str) -> bool:
        """Return whether a path is that of a mount's GraphQL, and the session has something of it."""
        if mounted.graph is None or path != mounted.graph.path:
            return False
        return any(
            each.mount == mounted.mount.name and each.tool.kind == "field" for each in self._live.routes.tools.values()
        )

    async def operate(self, posted: Posted, body: bytes, send: Line) -> Shown:
        """Do what an operation of GraphQL asks; return what is shown of it."""
        if self._operations is None:
            from bailiwick.mounts.http.graphql.requests import Operations  # see `apis._graph`

            self._operations = Operations(self._gateway, self._live, self._terms)
        head = posted.head
        if head.content != "json" or head.query:
            wrong = Denial("protocol_violation", "an operation of GraphQL is posted as JSON", "", "send it in the body")
            return await self._operations.refuse(head, posted.mounted, wrong, 400 if head.query else 415)
        return await self._operations.answer(head, posted.mounted, posted.graph, body, send)

    def allowed(self, head: Head) -> tuple[str, ...]:
        """Return the methods that the session has of a path."""
        mounted = self._apis.get(head.mount)
        if mounted is None:
            return ()
        if self._speaks(mounted, head.path):
            return ("POST",)
        known = self._live.routes.tools
        found = ((method, mounted.router.find(method, head.path)) for method in mounted.router.methods(head.path))
        return tuple(method for method, each in found if each and keyed("route", mounted.shown(each.target)) in known)

    async def answer(self, routed: Routed, body: bytes, send: Line) -> Shown:
        """Do what a request asks; return what is shown of it. What is streamed was sent by then, all but its end."""
        head = routed.head
        try:
            given = attempt(
                "the arguments of a request",
                gather,
                *(routed.route, routed.values, head, body),
                passing=(RefusedError,),
            )
        except RefusedError as error:
            return await self.refuse(head, error.denial, routed, status=error.status)
        if isinstance(given, Denial):
            return await self.refuse(head, given, routed)
        decided = self._gateway.decide_route(self._live, routed.name, given.arguments)
        if given.files:  # what an approval keeps is arguments: nobody would have seen these
            decided = without_waiting(decided)
        if isinstance(decided, Refused):
            request = refused_request(decided, head.purpose)
            statement = statement_of(routed.name, digested(given.arguments, self._live.digest))
            return await self._refused(statement, request, decided.decision, decided.decision.denial)
        approval: Approval | None = None
        if isinstance(decided, Held):
            cleared = await self._cleared(routed, decided, send)
            if isinstance(cleared, Shown):
                return cleared
            decided, approval = cleared.admitted, cleared.approval
        return await self._done(routed, decided, given.files, send, approval)

    async def run_approved(self, approval: Approval) -> Came | Void:
        """Run a request that people have approved, for who is not there; return the answer, or why there is none."""
        admitted = decided_again(self._gateway, self._live, approval)
        mounted = self._apis.get(approval.subject.mount)
        if isinstance(admitted, Denial):
            return Void(admitted)
        route = admitted.tool.tool.route
        if mounted is None or route is None:
            return Void(unknown(self._live.routes, approval.subject.text[:300], "route").denial)
        said = {"bailiwick-reason": approval.purpose}
        head = Head(route.method, mounted.mount.name, route.path, "", "", said, "")
        routed = Routed(head, mounted, approval.subject.text.removeprefix("route:"), route, {})
        kept = KeptAnswer()
        shown = await self._done(routed, admitted, {}, kept, approval)
        return told_of(kept.whole() if shown is STREAMED else shown)

    async def _done(
        self, routed: Routed, decided: Admitted, files: Mapping[str, bytes], send: Line, approval: Approval | None
    ) -> Shown:
        """Do what was admitted; return what is shown of it."""
        head = routed.head
        try:
            asked = attempt(
                "the making of a request",
                outgoing,
                *(routed.route, decided.arguments, files),
                passing=(RefusedError,),
            )
        except RefusedError as error:
            return await self.refuse(head, error.denial, routed, status=error.status)
        if isinstance(asked, Denial):
            return await self.refuse(head, asked, routed)
        made = Repeated(
            routed.mounted,
            routed.route,
            decided,
            asked,
            self._call(routed, decided),
            "rows" in self._gateway.measured(self._live, decided.allow, decided.tool.tool.cost),
        )
        if approval is None:
            self._repetitions.keep(head, made)
        return await self.do(made, head, send, approval)

    async def do(self, made: Repeated, head: Head, send: Line, approval: Approval | None = None) -> Shown:
        """Do what was admitted; see `answer`."""
        session, admitted = self._live.session, made.admitted
        exchange = Exchange(
            made.mounted,
            admitted,
            made.asked,
            head.accept,
            lambda ref: session.value(ref.path),
            self._terms,
            send,
            counted=made.counted,
        )
        tool = admitted.tool.tool
        effects = made.route.method not in ("GET", "HEAD") or bool(tool.effects)
        watched = self._path.watch(admitted, self._terms.digest)

        async def run() -> Done[Shown]:
            done = await exchange.run()
            if watched is not None and done.shown is not None:
                watched.result(json_shown(done.shown))
            return done

        try:
            done = await self._path.run(
                made.call,
                exchange.run if watched is None else run,
                intends=effects or tool.action.verb != "read",
                price=tool.cost,
                approval=approval,
                watched=watched,
            )
        finally:
            exchange.close()
        if done.denial is None and done.shown is not None:
            return done.shown if approval is None else with_approval(done.shown, approval)
        if exchange.started:
            return BROKEN
        return problem(done.denial or NO_LEDGER, done.record)

    async def _cleared(self, routed: Routed, held: Held, send: Line) -> Cleared | Shown:
        """Return a request that people have approved; or what is said of one that waits, or may not be done."""
        head, admitted = routed.head, held.admitted
        told = in_clear(admitted.tool, admitted.view.grants, admitted.arguments, self._live.digest)
        detail = {"route": admitted.tool.tool.name}
        asked = Asked(keyed("route", routed.name), statement_of(routed.name, told), head.purpose, detail)
        send.waits()
        cleared = await self._held.clear(held, asked, patience_of(head))
        match cleared:
            case Pending():
                return pending(cleared)
            case Barred():
                return problem(cleared.denial, cleared.record)
            case Ran():
                return ran(cleared)
            case Cleared():
                return cleared

    async def status(self, approval: str) -> Shown:
        """Return how a request of this session stands that waits for people; of others' nothing is said."""
        blocked = self._live.blocked()
        if blocked is not None:
            return problem(blocked)
        found = await status(self._gateway, self._live, approval)
        if found is None:
            denial = Denial("approval_unknown", "there is no such approval of this session")
            return problem(denial, status=404)
        return standing(*found)

    async def refuse(self, head: Head, denial: Denial, routed: Routed | None = None, status: int = 0) -> Shown:
        """Record what is not done, and return how that is said."""
        if routed is not None:
            tool = self._live.routes.tools.get(keyed("route", routed.name))
            request = Request("", (), head.purpose) if tool is None else request_of(tool, head.purpose)
            return await self._refused(routed.name, request, Deny(denial), denial, status)
        name = f"{head.method} /{head.mount} {digest_told(self._live.digest, head.path)}"
        more: Headers = []
        allowed = self.allowed(head) if denial.code == "resource_unknown" else ()
        if allowed:
            status, more = 405, [(b"allow", ", ".join(allowed).encode())]
        return await self._refused(name, Request("", (), head.purpose), Deny(denial), denial, status, more)

    async def fault(self, head: Head, fault: Fault) -> Shown:
        """Record that the body of a request is not taken, and return how that is said."""
        denial = Denial("protocol_violation", fault.message, "", fault.remedy)
        return await self.refuse(head, denial, status=fault.status)

    async def _refused(  # what is recorded, and how it is said
        self,
        name: str,
        request: Request,
        decision: Decision,
        denial: Denial,
        status: int = 0,
        more: Headers | None = None,
    ) -> Shown:
        record = await self._path.refuse(name, request, decision)
        return problem(denial, record, status, more)

    def _call(self, routed: Routed, admitted: Admitted) -> Call:
        """Return the call of a request; the same one for the same request, of which nothing is computed twice."""
        arguments: Mapping[str, Json] = admitted.arguments
        told = in_clear(admitted.tool, admitted.view.grants, arguments, self._live.digest)
        statement = statement_of(routed.name, told)
        key = (statement, routed.head.purpose, self._live.policy, admitted.allow.grants)
        known = self._calls.get(key)
        if known is None:
            if len(self._calls) >= _most_calls:
                self._calls.clear()
            request = request_of(admitted.tool, routed.head.purpose)
            detail = {"route": admitted.tool.tool.name}
            known = self._calls[key] = Call(admitted.tool.mount, statement, request, admitted.allow, detail)
        return known


BROKEN = Shown(-1, [])
"""What began to be sent and must not look whole."""
