"""GraphQL operations of one session: read, each of their fields decided, done as one, on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from bailiwick.decide.budgets import together
from bailiwick.decide.calls import Admitted, Refused, without_waiting
from bailiwick.decide.limits import strictest
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforce import Gateway, attempt
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.sessions.live import Live
from bailiwick.match.evaluate import Resolve
from bailiwick.model.budget import Price
from bailiwick.model.decision import Access, Allow, Decision, Denial, Deny, Request
from bailiwick.model.session import Claim
from bailiwick.model.value import Ref
from bailiwick.mounts.http.answers import Headers, Shown, media_type, status_of
from bailiwick.mounts.http.apis import Mounted
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.envelope import Head
from bailiwick.mounts.http.exchange import Exchange, Terms, longest_looked_at
from bailiwick.mounts.http.graphql.compose import composed
from bailiwick.mounts.http.graphql.graph import Graph
from bailiwick.mounts.http.graphql.operation import Operation
from bailiwick.mounts.http.graphql.selection import Selected, selected
from bailiwick.mounts.http.graphql.shaping import answered
from bailiwick.mounts.http.graphql.text import Posted, UnreadableError, read_posted
from bailiwick.mounts.http.stream import Send, WithheldError
from bailiwick.mounts.http.upstream import whole
from bailiwick.mounts.mcp.message import Json, read_faithfully, write
from bailiwick.mounts.observed_calls import Several
from bailiwick.mounts.recorded import digested, in_clear, statement_of
from bailiwick.mounts.tool_path import NO_LEDGER, Done, ToolPath, refused_request

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Denied:
    """Why an operation is not done, and what is recorded of it."""

    denial: Denial
    statement: str
    request: Request
    decision: Decision
    status: int = 0


class Operations:
    """The operations of one session."""

    def __init__(self, gateway: Gateway, live: Live, terms: Terms) -> None:
        self._gateway = gateway
        self._live = live
        self._terms = terms
        self._path = ToolPath(gateway, live)

    async def answer(self, head: Head, mounted: Mounted, graph: Graph, body: bytes, send: Send) -> Shown:
        """Do what an operation asks; return what is shown of it."""
        where = f"{mounted.mount.name}{graph.path}"
        read = attempt("the reading of an operation", self._read, graph, body, passing=(UnreadableError,))
        if isinstance(read, Denied):
            return await self._refused(read)
        if isinstance(read, Denial):
            return await self._refused(self._denied(read, where, head))
        posted, operation = read
        if not operation.roots:
            return await self._known(head, graph, posted, operation, where)
        decided = self._decided(graph, operation, head)
        if isinstance(decided, Denied):
            return await self._refused(decided)
        asked = attempt("the making of an operation", composed, graph.schema, operation.kind, decided)
        if isinstance(asked, Denial):
            return await self._refused(self._denied(asked, where, head))
        return await self._done(head, mounted, graph, operation, decided, asked, send)

    def _read(self, graph: Graph, body: bytes) -> tuple[Posted, Operation] | Denied:
        try:
            posted = read_posted(body)
            return posted, graph.read(self._live.routes, posted)
        except UnreadableError as error:
            where = f"{graph.mount}{graph.path}"
            return Denied(error.denial, where, Request(graph.mount, ()), Deny(error.denial), error.status)

    def _decided(self, graph: Graph, operation: Operation, head: Head) -> tuple[Selected, ...] | Denied:
        """Return the fields of an operation with their decisions: all of them, or why not one."""
        found: list[Selected] = []
        for root in operation.roots:
            name = f"{graph.mount}/{root.name}"
            admitted = without_waiting(self._gateway.decide_field(self._live, name, root.arguments))
            if isinstance(admitted, Refused):
                request = refused_request(admitted, head.purpose)
                statement = statement_of(name, digested(root.arguments, self._live.digest))
                return Denied(admitted.decision.denial, statement, request, admitted.decision)
            each = attempt("what an operation selects", selected, graph.schema, root, admitted, self._resolve)
            if isinstance(each, Denial):
                action = admitted.tool.tool.action
                request = Request(graph.mount, (Access(action.resource, action.verb),), head.purpose)
                return Denied(each, name, request, Deny(each))
            found.append(each)
        return tuple(found)

    async def _done(
        self,
        head: Head,
        mounted: Mounted,
        graph: Graph,
        operation: Operation,
        decided: Sequence[Selected],
        asked: dict[str, Json],
        send: Send,
    ) -> Shown:
        admitted = _together([each.admitted for each in decided])
        out = Outgoing(graph.path, "", (), write(asked), _JSON)
        terms = _Terms(mounted, admitted, out, self._resolve, self._terms, send)
        watched = self._path.watch_several([each.admitted for each in decided], self._terms.digest)
        exchange = GraphExchange(terms, operation, decided, watched)
        reads = operation.kind == "query" and all(
            each.admitted.tool.tool.action.verb == "read" and not each.admitted.tool.tool.effects for each in decided
        )
        call, price = self._call(head, decided, admitted.allow), _price(decided)
        try:
            done = await self._path.run(call, exchange.run, intends=not reads, price=price, watched=watched)
        finally:
            exchange.close()
        if done.denial is None and done.shown is not None:
            return done.shown
        return problem(done.denial or NO_LEDGER, done.record)

    def _resolve(self, ref: Ref) -> Claim | None:
        return self._live.session.value(ref.path)

    def _call(self, head: Head, decided: Sequence[Selected], allow: Allow) -> Call:
        told = [
            statement_of(
                f"{each.admitted.tool.mount}/{each.root.name}",
                in_clear(each.admitted.tool, each.admitted.view.grants, _given(each.admitted), self._live.digest),
            )
            for each in decided
        ]
        accesses = tuple(dict.fromkeys(_access(each) for each in decided))
        request = Request(decided[0].admitted.tool.mount, accesses, head.purpose)
        return Call(request.mount, "; ".join(told), request, allow, {"graphql": [each.root.name for each in decided]})

    async def _known(self, head: Head, graph: Graph, posted: Posted, operation: Operation, where: str) -> Shown:
        """Answer what the gateway knows itself: the session's own types."""
        found: dict[str, Json] | Denial = {"data": {**operation.known}}
        if operation.introspects:
            found = attempt("an introspection", graph.introspected, self._live.routes, posted)
        if isinstance(found, Denial):
            return await self._refused(self._denied(found, where, head))
        call = Call(graph.mount, f"{where} types", Request(graph.mount, (), head.purpose), Allow(()))
        kept, _ = await self._path.tell(call)
        return _json(200, found) if kept else problem(NO_LEDGER)

    def _denied(self, denial: Denial, where: str, head: Head) -> Denied:
        return Denied(denial, where, Request("", (), head.purpose), Deny(denial))

    async def refuse(self, head: Head, mounted: Mounted, denial: Denial, status: int = 0) -> Shown:
        """Record what is not looked at, and return how that is said."""
        denied = self._denied(denial, mounted.mount.name, head)
        return await self._refused(Denied(denial, denied.statement, denied.request, denied.decision, status))

    async def _refused(self, denied: Denied) -> Shown:
        record = await self._path.refuse(denied.statement, denied.request, denied.decision)
        return problem(denied.denial, record, denied.status)


def _access(each: Selected) -> Access:
    action = each.admitted.tool.tool.action
    return Access(action.resource, action.verb, each.fields)


def _given(admitted: Admitted) -> dict[str, Json]:
    """Return the arguments that have a value."""
    return {name: value for name, value in admitted.arguments.items() if value is not None}


def _together(admitted: Sequence[Admitted]) -> Admitted:
    """Return several fields as one call: under the ceilings of them all."""
    first = admitted[0]
    grants, labels, bounds = dict.fromkeys(first.allow.grants), first.allow.labels, first.allow.ceilings
    for each in admitted[1:]:
        grants |= dict.fromkeys(each.allow.grants)
        labels |= each.allow.labels
        bounds = strictest(bounds, each.allow.ceilings)
    budgets = together([each.allow.budgets for each in admitted])
    allow = Allow(tuple(grants), labels, bounds, budgets, len(admitted))
    return Admitted(first.tool, {}, first.view, allow)


def _price(decided: Sequence[Selected]) -> Price | None:
    """Return what an operation costs: all of its fields, and where their answers would have to tell, the most."""
    found = [each.admitted.tool.tool.cost for each in decided]
    known = [price for price in found if price is not None]
    if not known:
        return None
    calls = sum((price.call + (price.most or 0) for price in known), Decimal(0))
    return Price(known[0].unit, calls, sum((price.row for price in known), Decimal(0)))


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an exchange is made of."""

    mounted: Mounted
    admitted: Admitted
    asked: Outgoing
    resolve: Resolve
    terms: Terms
    send: Send


class GraphExchange(Exchange):
    """What is done for one operation."""

    def __init__(
        self, terms: _Terms, operation: Operation, decided: Sequence[Selected], watched: Several | None
    ) -> None:
        super().__init__(terms.mounted, terms.admitted, terms.asked, _JSON, terms.resolve, terms.terms, terms.send)
        self._operation = operation
        self._decided = decided
        self._watched = watched

    async def _asked_for(self) -> Done[Shown]:
        self._answer = answer = await self._mounted.api.send("POST", self._asked, self._accept)
        refused = self._unusable(answer)
        if refused is not None:
            answer.close()
            return Done(denial=refused)
        data = await whole(answer, longest_looked_at)
        if self._mounted.api.holds_secret(data):
            raise WithheldError("the answer holds a credential of the gateway")
        found = _object(media_type(answer), data)
        if found is None:
            what = f"the API answered {answer.status} with what is no answer of GraphQL"
            return Done(denial=Denial("backend_unavailable", what, remedy="tell the gateway's operator"))
        look = (self._resolve, utc_now(), self._terms.digest)
        shown, items = answered(self._operation, self._decided, found, look)
        if self._watched is not None:
            attempt("observing an answer", self._look, self._watched, shown)
        return self._bounded(_json(200, shown), items, "graphql_error" if "errors" in shown else "", None)

    def _look(self, watched: Several, shown: dict[str, Json]) -> None:
        given = shown.get("data")
        data = cast("dict[str, Json]", given) if isinstance(given, dict) else {}
        for call, each in zip(watched.calls, self._decided, strict=True):
            call.selected(each.fields)
            call.told(data.get(each.root.key))


def _object(kind: str, data: bytes) -> dict[str, Json] | None:
    if kind not in (_JSON, "application/graphql-response+json"):
        return None
    try:
        found = read_faithfully(data)
    except ValueError:
        return None
    return {**found} if isinstance(found, dict) and ("data" in found or "errors" in found) else None


def problem(denial: Denial, record: str = "", status: int = 0) -> Shown:
    """Return a denial as an answer of GraphQL."""
    told = {"code": denial.code, "allowed": denial.allowed, "remedy": denial.remedy, "action": denial.action}
    more: dict[str, Json] = {key: value for key, value in {**told, "decision": record}.items() if value}
    if denial.retry_after is not None:
        more["retry_after"] = denial.retry_after
    wait: Headers = [] if denial.retry_after is None else [(b"retry-after", b"%d" % denial.retry_after)]
    return _json(status or status_of(denial), {"errors": [{"message": denial.message, "extensions": more}]}, wait)


def _json(status: int, value: dict[str, Json], more: Headers | None = None) -> Shown:
    data = write(value)
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))]
    headers += more or []
    return Shown(status, [*headers, (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")], data)
