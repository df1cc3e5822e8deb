"""Operations that try to be read in two ways, to exhaust a parser, or to get further than they may.

None reaches the API; each class has a twin that does.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.model.decision import Denial
from bailiwick.mounts.http.graphql.operation import checked, operation_of
from bailiwick.mounts.http.graphql.text import Posted, UnreadableError, read_posted
from bailiwick.mounts.http.graphql.types import kept, properties, root_of, schema_of
from tests.http import test_graphql
from tests.http.conftest import Desk
from tests.http.test_graphql import data, post, refused
from tests.support.graphql_api import TYPES

pytestmark = pytest.mark.xdist_group("graphql")
graphql_desk = test_graphql.desk


@pytest.fixture(scope="module")
def desk(graphql_desk: Desk) -> Desk:
    return graphql_desk


OK = '{"query": "{ version }"}'
BODIES = [
    *("", "{}", "[]", "null", '"{ version }"', f"[{OK}]", f"[{OK}, {OK}]", '{"query": null}', '{"query": 1}'),
    *('{"query": ""}', '{"query": ["{ version }"]}', '{"query": "{ version }", "query": "{ wipe }"}'),
    *('{"query": "{ version }", "Query": "{ secrets }"}', '{"query": "{ version }", "id": "abc"}'),
    *(
        '{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}',
        '{"query": "{ version }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}',
        '{"query": "{ version }", "documentId": "x"}',
        '{"query": "{ version }", "doc_id": "x"}',
    ),
    *('{"query": "{ version }", "variables": []}', '{"query": "{ version }", "variables": "{}"}'),
    *('{"query": "{ version }", "operationName": 1}', '{"query": "{ version }", "operationName": "Other"}'),
    *(
        '{"query": "query A { version } query B { secrets }", "operationName": "A"}',
        '{"query": "{ version } { version }"}',
    ),
    *('{"query": "{ version }"', '{"query": "{ version }"} ', "\ufeff" + OK, OK.replace("{ v", "\\ud800{ v")),
]


@pytest.mark.parametrize("body", [each for each in BODIES if each != '{"query": "{ version }"} '])
def test_a_body_that_is_no_single_operation_is_refused(desk: Desk, body: str) -> None:
    before = len(desk.reached)
    reply = desk.ask("POST", "/shop/graphql", body.encode("utf-8", "surrogatepass"))
    assert reply.status in (400, 404, 415)
    assert len(desk.reached) == before


def test_a_plain_body_is_taken(desk: Desk) -> None:
    for body in (OK, '{"query": "{ version }"} ', '{"query": "query A { version }", "operationName": "A"}'):
        assert desk.ask("POST", "/shop/graphql", body.encode()).json == {"data": {"version": "1"}}
    body = '{"query": "{ version }", "variables": null, "operationName": null, "extensions": {}}'
    assert desk.ask("POST", "/shop/graphql", body.encode()).json == {"data": {"version": "1"}}


WAYS: list[tuple[str, str, str | None, dict[str, str]]] = [
    ("GET", "/shop/graphql?query={version}", None, {}),
    ("GET", "/shop/graphql?query=%7Bversion%7D", None, {}),
    ("POST", "/shop/graphql?query=%7Bsecrets%7D", OK, {}),
    ("PUT", "/shop/graphql", OK, {}),
    ("POST", "/shop/graphql/", OK, {}),
    ("POST", "/shop/GraphQL", OK, {}),
    ("POST", "/shop/graphql", OK, {"Content-Type": "application/graphql"}),
    ("POST", "/shop/graphql", OK, {"Content-Type": "text/plain"}),
    ("POST", "/shop/graphql", "query=%7Bversion%7D", {"Content-Type": "application/x-www-form-urlencoded"}),
    ("POST", "/shop/graphql", OK, {"Content-Type": "multipart/form-data; boundary=x"}),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(map(str, way))[:60])
def test_an_operation_is_posted_as_json_and_in_no_other_way(
    desk: Desk, way: tuple[str, str, str | None, dict[str, str]]
) -> None:
    method, target, body, headers = way
    before = len(desk.reached)
    reply = desk.ask(method, target, None if body is None else body.encode(), headers)
    assert 400 <= reply.status < 500
    assert len(desk.reached) == before


OPERATIONS = [
    *(
        "{",
        "}",
        "version",
        "{ version",
        "{ version } }",
        "{ }",
        "{ version \0 }",
        "{ vérsion }",
        "query",
        "{ version(",
        "§",
    ),
    *("subscription { version }", "{ version @defer }", "{ ... @defer { version } }", "{ version @stream }"),
    *("query @live { version }", "{ version @include }", "{ version @include(if: 1) }", '{ version @export(as: "x") }'),
    *("fragment f on Query { version }", "{ ...f } fragment f on Query { ...f version }", "{ ...missing }"),
    *(
        "type Query { version: String } { version }",
        "extend type Query { x: Int } { version }",
        "schema { query: Query }",
    ),
    *("{ __schema { types { name } } version }", '{ ... { __type(name: "Query") { name } } version }', "{ secrets }"),
    *("{ wipe }", "mutation { wipe }", "mutation { secrets }", "{ a: secrets }", "{ version: secrets }"),
    *("{ version secrets }", "{ ... on Query { secrets } }", "{ ...f } fragment f on Query { secrets }"),
    *("{ secrets @skip(if: true) version }", "query($a: Boolean!) { version secrets @include(if: $a) }"),
    *(
        "{ customer(id: 502) { id } }",
        "{ customer(id: [501]) { id } }",
        "{ customer(id: null) { id } }",
        "{ customer { id } }",
    ),
    *("{ customer(id: 501, id: 502) { id } }", "{ customer(id: 501.0) { id } }", '{ customer(id: "0501") { id } }'),
    *("{ customer(id: 501, ID: 502) { id } }", "{ customer(id: true) { id } }", '{ customer(id: " 501") { id } }'),
    *(
        "{ customer(id: {eq: 501}) { id } }",
        "query($id: ID! = 502) { customer(id: $id) { id } }",
        "{ customer(id: 501) }",
    ),
    *(
        "{ customer(id: 501) { } }",
        "{ customer(id: 501) { orders(first: 6) { id } } }",
        "{ customer(id: 501) { orders { id } } }",
    ),
    *(
        "{ customer(id: 501) { a: orders(first: 1) { id } b: orders(first: 5) { id } } }",
        "{ customer(id: 501) { orders(first: 1) { id } ... { orders(first: 2) { id } } } }",
        "{ customer(id: 501) { x: id x: name } }",
        "{ customer(id: 501) { id ...f } } fragment f on Customer { id: ssn }",
        "{ customer(id: 501) { id ...f } } fragment f on Customer { orders(first: 1) { customer { ssn } } }",
        "{ customer(id: 501) { name: ssn } }",
        "{ customer(id: 501) { friend { id } } }",
        "{ customer(id: 501) { orders(first: 1) { customer { friend { id } } } } }",
        "{ customer(id: 501) { orders(first: 1) { id @include(if: false) } } }",
        "{ customer(id: 501) { __schema { types { name } } } }",
        "{ customer(id: 501) { friend { __typename } } }",
        "{ customer(id: 501) { orders(first: 1) { customer { __typename } } } }",
    ),
    *("{ node(id: 501) { ... on Customer { ssn } } }", "{ node(id: 501) { ... on Order { margin } } }"),
    *(
        '{ search(text: "a") { ... on Node { ... on Customer { email } } } }',
        '{ node(id: "o1") { ... on Order { customer { id } } } }',
    ),
    *(
        "{ orders { totalCount } }",
        "{ orders(first: 1) { edges { node { id } } } }",
        "{ orders(filter: {customerId: 502}) { edges { node { id } } } }",
    ),
    *(
        "{ orders(filter: {or: [{status: PAID}]}) { edges { node { id } } } }",
        "{ orders(filter: {}) { edges { node { id } } } }",
    ),
    *(
        "{ orders(filter: null) { edges { node { id } } } }",
        "{ customers(first: 51) { id } }",
        "{ customers(first: -1e9) { id } }",
    ),
    *(
        "mutation { refund(input: {orderId: 1, money: {amount: 501}}) { ok } }",
        'mutation { refund(input: {orderId: 1, money: {amount: 5}, by: "birch"}) { ok } }',
        "mutation { refund(input: {orderId: 1, money: {amount: 5, amount: 600}}) { ok } }",
        "mutation { refund(input: {orderId: 1, money: {amount: 1e400}}) { ok } }",
        "mutation { refund(input: {orderId: 1, money: {amount: 5}}) { order { margin } } }",
        "mutation { refund(input: {orderId: 1, money: {amount: 5}}) { order { id } } }",
        "mutation { a: refund(input: {orderId: 1, money: {amount: 5}}) { ok }"
        " b: refund(input: {orderId: 1, money: {amount: 5}}) { ok } }",
        "mutation { refund(input: {orderId: 1, money: {amount: 5}}) { ok } wipe }",
    ),
    *("{ " + "a: version " * 2 + "}", "{ " + " ".join(f"a{n}: version" for n in range(17)) + " }"),
    *(
        "{" + "a{" * 30 + "b" + "}" * 31,
        "{ version " + "# x\n" * 9000 + "}",
        "{ " + "version " * 2001 + "}",
        "{ customer(id: " + "[" * 40 + "]" * 40 + ") { id } }",
    ),
    *(
        "{ customer(id: 501) { ...a } } fragment a on Customer { ...b ...b ...b ...b ...b ...b ...b ...b } "
        + " ".join(
            f"fragment {one} on Customer {{ {f'...{other} ' * 8} }}" for one, other in zip("bcde", "cdef", strict=True)
        )
        + " fragment f on Customer { id name }",
    ),
    *("{ customer(id: 9999999999999999999999999999999999999" + "9" * 400 + ") { id } }",),
]


@pytest.mark.parametrize("query", OPERATIONS, ids=range(len(OPERATIONS)))
def test_an_operation_beyond_the_scope_reaches_nothing(desk: Desk, query: str) -> None:
    before = len(desk.reached)
    found = refused(desk, post(desk, query, {"a": False} if "$a" in query else None), before)
    assert found["code"] != "internal_error"


TWINS = [
    *(
        "{ version }",
        "query { version }",
        "{ version @include(if: true) }",
        "{ a: version }",
        "{ ...f } fragment f on Query { version }",
    ),
    *(
        "{ ... on Query { version } }",
        "query($a: Boolean!) { version @include(if: $a) a: version }",
        "{ customer(id: 501) { id } }",
    ),
    *("query($id: ID! = 501) { customer(id: $id) { id } }", '{ customer(id: "501") { id } }'),
    *(
        "{ customer(id: 501) { a: orders(first: 5) { id } b: orders(first: 5) { total } } }",
        "{ customer(id: 501) { x: id y: name } }",
    ),
    *("{ customer(id: 501) { id ...f } } fragment f on Customer { id orders(first: 1) { __typename id } }",),
    *("{ node(id: 501) { ... on Customer { name } } }", '{ node(id: "o1") { ... on Order { total } } }'),
    *('{ search(text: "a") { ... on Node { ... on Customer { name } } } }', "{ orders { edges { node { id } } } }"),
    *("{ orders(filter: {status: PAID}) { edges { node { id } } } }", "{ customers(first: 50) { id } }"),
    *(
        "mutation { refund(input: {orderId: 1, money: {amount: 399}}) { ok } }",
        "{ " + " ".join(f"a{n}: version" for n in range(16)) + " }",
    ),
    *("{ version " + "# x\n" * 900 + "}", "{ customer(id: 501) { ...a ...a } } fragment a on Customer { id name }"),
]


@pytest.mark.parametrize("query", TWINS, ids=range(len(TWINS)))
def test_the_operation_beside_it_is_answered(desk: Desk, query: str) -> None:
    before = len(desk.reached)
    data(post(desk, query, {"a": True} if "$a" in query else None))
    assert len(desk.reached) == before + 1
    sent = desk.reached[-1]
    assert set(sent) == {"query", "variables"}


def test_no_secret_stands_in_any_record(desk: Desk) -> None:
    post(desk, '{ customer(id: "CANARY_GIVEN") { id } }')
    told = [each for each in desk.records() if each["kind"] != "policy.text"]  # the policy itself names it
    assert "CANARY" not in json.dumps(told)


SCHEMA = schema_of(TYPES, "the test's types")


def _read(text: str) -> object:
    try:
        posted = read_posted(json.dumps({"query": text}).encode())
        return operation_of(SCHEMA, checked(SCHEMA, posted.document), posted)
    except UnreadableError as error:
        return error.denial


_words = st.sampled_from(
    [
        *("{", "}", "(", ")", "[", "]", ":", "!", "$", "@", "...", "|", "=", "&", ",", "#", '"', '"""', "\\", "\n"),
        *(
            "query",
            "mutation",
            "fragment",
            "on",
            "null",
            "true",
            "version",
            "customer",
            "id",
            "name",
            "orders",
            "first",
        ),
        *("Customer", "Query", "x", "$x", "1", "1.5", "-", '"a"', "@include(if: true)", "{ id }", "(id: 1)", "é", "\0"),
    ]
)


@given(st.lists(_words, max_size=40))
def test_any_text_is_an_operation_or_a_denial(words: list[str]) -> None:
    found = _read(" ".join(words))
    assert isinstance(found, Denial) or hasattr(found, "roots")


def test_what_is_accepted_is_what_can_be_reached() -> None:
    text = kept(SCHEMA, ["Query.orders", "Mutation.refund"])
    assert "customers" not in text
    assert "type Customer" in text  # through the orders
    assert "union Hit" not in text
    again = schema_of(text, "what was kept")
    assert kept(again, ["Query.orders", "Mutation.refund"]) == text
    field = root_of(SCHEMA, "Query.orders")
    assert field is not None
    assert set(properties(field.args)) >= {"filter.status", "filter.customerId", "first"}


def test_a_posted_operation_has_its_variables() -> None:
    assert read_posted(b'{"query": "{ a }", "variables": {"x": 1}}') == Posted("{ a }", {"x": 1}, "")
