"""A real GraphQL API behind the gateway: graphql-core in a process of its own, that tells in a file what reached it.

python tests/support/graphql_api.py PORT LOG
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import cast

import uvicorn
from graphql import GraphQLError, build_schema, graphql_sync  # pyright: ignore[reportUnknownVariableType]  # untyped parts

Message = MutableMapping[str, object]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
TYPES = '''
scalar JSON
enum Status { OPEN PAID }
interface Node { id: ID! }
union Hit = Customer | Order
"""A person who buys."""
type Customer implements Node {
  id: ID!
  name: String!
  email: String
  ssn: String
  region: String
  orders(first: Int = 2, status: Status): [Order!]!
  friend: Customer
  label(text: String): String
  meta: JSON
}
type Order implements Node {
  id: ID!
  customerId: ID!
  total: Int!
  status: Status!
  margin: Int
  customer: Customer
  note: String!
}
type OrderEdge { node: Order! cursor: String }
type PageInfo { endCursor: String }
type OrderConnection { edges: [OrderEdge!]! totalCount: Int! pageInfo: PageInfo! }
input Money { amount: Float!, currency: String = "EUR" }
input RefundInput { orderId: ID!, money: Money!, by: String, tags: [String!] }
type RefundPayload { id: ID! ok: Boolean! echo: String order: Order }
input OrderFilter { status: Status, customerId: ID, or: [OrderFilter!] }
type Query {
  customer(id: ID!): Customer
  customers(region: String, first: Int = 10): [Customer!]!
  orders(filter: OrderFilter, first: Int): OrderConnection!
  node(id: ID!): Node
  search(text: String!): [Hit!]!
  secrets: String
  credential: String
  version: String
}
type Mutation {
  refund(input: RefundInput!): RefundPayload!
  wipe: Boolean
}
'''
Row = dict[str, object]


def _customer(number: int) -> Row:
    def friend(_: object) -> Row:
        return CUSTOMERS["502" if number == 501 else "501"]

    def orders(_: object, first: int = 2, status: str | None = None) -> list[Row]:
        own = [each for each in ORDERS if each["customerId"] == str(number)]
        return [each for each in own if status in (None, each["status"])][:first]

    def label(_: object, text: str | None = None) -> str:
        return text or f"CANARY_LABEL_{number}"

    return {
        "__typename": "Customer",
        "id": str(number),
        "name": f"Person {number}",
        "email": f"person{number}@mail.example",
        "ssn": f"CANARY_SSN_{number}",
        "region": "north" if number == 501 else "south",
        "meta": {"public": number, "private": f"CANARY_META_{number}"},
        "friend": friend,
        "orders": orders,
        "label": label,
    }


def _order(number: int) -> Row:
    owner = "501" if number % 2 else "502"

    def customer(_: object) -> Row:
        return CUSTOMERS[owner]

    return {
        "__typename": "Order",
        "id": f"o{number}",
        "customerId": owner,
        "total": number * 10,
        "status": "OPEN" if number < 4 else "PAID",
        "margin": 7700000 + number,
        "customer": customer,
        "note": _note if number == 6 else f"note {number}",
    }


def _note(_: object) -> str:
    raise GraphQLError("CANARY_ERROR_TEXT", extensions={"code": "NOT_FOUND", "trace": "CANARY_TRACE"})


CUSTOMERS: dict[str, Row] = {str(number): _customer(number) for number in (501, 502)}
ORDERS: list[Row] = [_order(number) for number in range(1, 7)]
NODES: Mapping[str, Row] = {**CUSTOMERS, **{str(each["id"]): each for each in ORDERS}}


def _root(credential: str) -> Row:
    def customers(_: object, first: int, region: str | None = None) -> list[Row]:
        return [each for each in CUSTOMERS.values() if region in (None, each["region"])][:first]

    def orders(_: object, **given: object) -> Row:
        wanted = cast("dict[str, object]", given.get("filter") or {})
        found = [each for each in ORDERS if all(each.get(key) == value for key, value in wanted.items())]
        edges = [{"node": each, "cursor": f"c{each['id']}"} for each in found]
        return {"edges": edges, "totalCount": 7700001, "pageInfo": {"endCursor": "CANARY_CURSOR"}}

    def customer(_: object, id: str) -> Row | None:  # noqa: A002  # GraphQL's name of it
        return CUSTOMERS.get(id)

    def node(_: object, id: str) -> Row | None:  # noqa: A002  # GraphQL's name of it
        return NODES.get(id)

    def search(_: object, text: str) -> list[Row]:
        del text
        return [*CUSTOMERS.values(), *ORDERS[:2]]

    def refund(_: object, input: Row) -> Row:  # noqa: A002  # GraphQL's name of it
        return {"id": "r1", "ok": True, "echo": json.dumps(input), "order": ORDERS[0]}

    return {
        "customer": customer,
        "customers": customers,
        "orders": orders,
        "node": node,
        "search": search,
        "secrets": "CANARY_SECRETS",
        "credential": credential,
        "version": "1",
        "refund": refund,
        "wipe": True,
    }


class Api:
    """The ASGI application."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._schema = build_schema(TYPES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer an operation, and tell what it was."""
        if scope["type"] != "http":
            return
        body = b""
        while True:
            part = await receive()
            body += cast("bytes", part.get("body", b""))
            if not part.get("more_body"):
                break
        headers = {key.decode(): value.decode() for key, value in cast("list[tuple[bytes, bytes]]", scope["headers"])}
        asked = cast("dict[str, object]", json.loads(body or b"{}"))
        with self._log.open("a") as log:
            log.write(json.dumps(asked) + "\n")
        found = graphql_sync(
            self._schema,
            str(asked.get("query")),
            _root(headers.get("authorization", "")),
            variable_values=cast("dict[str, object]", asked.get("variables") or {}),
        )
        data = json.dumps(found.formatted).encode()
        given = [(b"content-type", b"application/json"), (b"x-internal", b"CANARY_INTERNAL")]
        await send({"type": "http.response.start", "status": 200, "headers": given})
        await send({"type": "http.response.body", "body": data})


if __name__ == "__main__":
    uvicorn.run(
        Api(Path(sys.argv[2])),  # pyright: ignore[reportArgumentType]  # ASGI's own types are looser mappings
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
    )
