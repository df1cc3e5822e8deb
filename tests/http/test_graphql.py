"""GraphQL at a mount: operations are decided field by field, and what an API is sent was composed by the gateway."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import cast

import pytest

from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.ledger.encode import decode
from bailiwick.model.observation import Origin
from bailiwick.model.observation_record import observation_of
from tests.http.conftest import Desk, Reply, listens
from tests.support.gateway import prepare_gateway
from tests.support.graphql_api import TYPES
from tests.support.postgres import free_port

pytestmark = pytest.mark.xdist_group("graphql")
SECRET = "CANARY_UPSTREAM_CREDENTIAL4712"
API = str(Path(__file__).parents[1] / "support" / "graphql_api.py")
POLICY = """\
bailiwick: 1
mounts:
  shop:
    kind: http
    url: http://127.0.0.1:PORT/api
    credential: {header: {Authorization: "Bearer ${API_TOKEN}"}}
    resources:
      customers: {labels: {ssn: restricted, meta.private: confidential}}
      orders: {labels: {margin: confidential}}
    graphql:
      schema: shop.graphql
      fields:
        Query.customer: {action: customers:read}
        Query.customers: {action: customers:list}
        Query.orders: {action: orders:read, items: edges}
        Query.node: {action: nodes:read}
        Query.search: {action: hits:read}
        Query.secrets: {action: secrets:read}
        Query.credential: {action: tests:read}
        Query.version: {action: tests:read}
        Mutation.refund: {action: billing:refund, fixed: {input.by: $tenant}}
        Mutation.wipe: {action: billing:wipe}
  asked:
    kind: http
    url: http://127.0.0.1:PORT/api
    graphql: {path: /q, fields: {Query.version: {action: version:read}}}
roles:
  support:
    grants:
      - allow: customers:read
        reason: answers them
        args: {id: $customer_id, "orders(first)": {max: 5}, "orders(status)": any}
        fields: [id, name, email, orders.id, orders.total, meta.public, orders.note]
        mask: {email: partial}
      - allow: customers:list
        reason: lists them
        args: {region: any, first: {max: 50}, "label(text)": any}
        items: {region: north, label: {prefix: CANARY}}
        fields: [id, name, label]
      - allow: orders:read
        reason: looks
        args: {filter.status: any}
        items: {node.customerId: $customer_id}
        fields: [node.id, node.total, node.customer.name]
      - {allow: nodes:read, reason: tests, args: {id: any}, fields: [id, name, total]}
      - {allow: hits:read, reason: tests, args: {text: any}, fields: [id, name, total]}
      - {allow: tests:read, reason: tests}
      - allow: billing:refund
        reason: small ones
        args: {input.orderId: any, input.money.amount: {max: 500}, input.tags: any}
        when: args.input.money.amount < 400.0
  none: {grants: [{deny: 'billing:*'}]}
  reader:
    grants:
      - {allow: customers:read, reason: tests, args: {id: any}}
      - {allow: version:read, reason: tests}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
  reader: {owner: team, purpose: tests, roles: [reader]}
  watcher: {owner: team, purpose: tests, roles: [none], observe: true}
tasks:
  work: {agents: [bot], context: {customer_id: integer}}
"""


@pytest.fixture(scope="module")
def desk() -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="bwgraph"))
    port, log = free_port(), folder / "reached"
    api = subprocess.Popen([sys.executable, API, str(port), str(log)])
    try:
        listens(port)
        (folder / "shop.graphql").write_text(TYPES)
        gateway = prepare_gateway(folder, POLICY.replace("PORT", str(port)), {"API_TOKEN": SECRET})
        log.unlink()  # what `accept` asked
        try:
            gateway.start()
            yield Desk(gateway, log, port)
        finally:
            gateway.stop()
    finally:
        api.kill()
        api.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def post(desk: Desk, query: object, variables: Mapping[str, object] | None = None, agent: str = "bot") -> Reply:
    """Post an operation."""
    body = {"query": query} if variables is None else {"query": query, "variables": variables}
    return desk.ask("POST", "/shop/graphql", json.dumps(body).encode(), agent=agent)


def data(reply: Reply) -> Mapping[str, object]:
    """Return the data of an answer without errors."""
    assert reply.status == 200, reply
    assert "errors" not in reply.json, reply
    return cast("dict[str, object]", reply.json["data"])


def error(reply: Reply) -> Mapping[str, object]:
    """Return what a denial says."""
    assert 400 <= reply.status < 500, reply
    (first,) = cast("list[dict[str, object]]", reply.json["errors"])
    return {"message": first["message"], **cast("dict[str, object]", first["extensions"])}


def refused(desk: Desk, reply: Reply, before: int) -> Mapping[str, object]:
    """Return what a denial says, of which nothing reached the API."""
    found = error(reply)
    assert len(desk.reached) == before
    assert "CANARY" not in reply.body.decode()
    return found


def test_a_field_is_answered_with_what_its_grant_shows(desk: Desk) -> None:
    found = data(post(desk, "{ customer(id: 501) { id name email orders(first: 1) { id total } meta } }"))
    assert found == {
        "customer": {
            "id": "501",
            "name": "Person 501",
            "email": "p***@mail.example",
            "orders": [{"id": "o1", "total": 10}],
            "meta": {"public": 501},
        }
    }


def test_what_is_sent_is_composed_of_what_was_understood(desk: Desk) -> None:
    query = (
        "query Mine($id: ID! = 501, $n: Int, $no: Boolean = false) { # CANARY_COMMENT\n"
        "  me: customer(id: $id) { ...who a: orders(first: $n) { id } b: orders(first: $n) { total @skip(if: $no) } } }"
        "fragment who on Customer { who: name __typename ... on Node { id } ... @include(if: $no) { meta } }"
    )
    found = data(post(desk, query, {"n": 2}))
    assert found == {
        "me": {
            "who": "Person 501",
            "__typename": "Customer",
            "id": "501",
            "a": [{"id": "o1"}, {"id": "o3"}],
            "b": [{"total": 10}, {"total": 30}],
        }
    }
    sent = desk.reached[-1]
    assert "".join(str(sent["query"]).split()) == (
        "query($v0:ID!,$v1:Int){f0:customer(id:$v0){nameidorders(first:$v1){idtotal}}}"
    )
    assert sent["variables"] == {"v0": "501", "v1": 2}


def test_an_argument_that_the_grant_fixes_is_another_one_for_nobody(desk: Desk) -> None:
    before = len(desk.reached)
    found = refused(desk, post(desk, "{ customer(id: 502) { id } }"), before)
    assert found["code"] == "argument_not_granted"
    assert found["action"] == "customers:read"
    assert found["decision"]
    assert data(post(desk, "{ customer(id: 501) { id } }")) == {"customer": {"id": "501"}}
    assert data(post(desk, '{ customer(id: "501") { id } }')) == {"customer": {"id": "501"}}


def test_what_an_operation_of_an_observed_session_used_is_on_record(desk: Desk) -> None:
    query = "{ customer(id: 501) { who: name secret: ssn } version }"
    seen = json.dumps(data(post(desk, query, agent="watcher")))
    assert "CANARY" not in seen, "restricted fields are hashes"
    post(desk, '{ customers(region: "Person 501") { id } }', agent="watcher")
    reader = open_reader(desk.gateway.folder / ".bailiwick" / "ledger.db")
    try:
        entries = [decode(each.body) for each in reader.query(Query(limit=100_000))]
    finally:
        reader.close()
    records = sorted((each.record for each in entries if each is not None), key=lambda each: each.id)
    found = [seen for record in records if (seen := observation_of(record)) is not None]
    both, again = found[-2:]
    customer, version = both.tools
    assert (customer.name, customer.kind, customer.resource) == ("Query.customer", "field", "customers")
    assert customer.read == ("name", "ssn")
    assert {each.name: each.value.value for each in customer.arguments} == {"id": "501"}
    assert (version.name, version.resource) == ("Query.version", "tests")
    assert again.tool is not None
    (region,) = again.tool.arguments
    assert (region.value.origin, region.value.value) == (Origin("result", "customers"), None)


FIELDS = ["ssn", "friend { name }", "region", "orders { margin }", "orders { customer { ssn } }", "x: ssn"]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_no_grant_shows_cannot_be_asked_for(desk: Desk, field: str) -> None:
    before = len(desk.reached)
    refused(desk, post(desk, f"{{ customer(id: 501) {{ {field} }} }}"), before)


def test_items_are_those_of_the_scope_and_decided_by_what_was_not_asked_for(desk: Desk) -> None:
    found = data(post(desk, "{ orders { edges { node { id total } } } }"))
    edges = [{"node": {"id": f"o{each}", "total": each * 10}} for each in (1, 3, 5)]
    assert found == {"orders": {"edges": edges}}
    assert "customerId" in str(desk.reached[-1]["query"])
    one = data(post(desk, "{ orders(filter: {status: PAID}) { __typename edges { node { id customer { name } } } } }"))
    assert one == {
        "orders": {
            "__typename": "OrderConnection",
            "edges": [{"node": {"id": "o5", "customer": {"name": "Person 501"}}}],
        }
    }


@pytest.mark.parametrize("beside", ["totalCount", "pageInfo { endCursor }", "edges { cursor }"])
def test_beside_the_items_nothing_is_told(desk: Desk, beside: str) -> None:
    before = len(desk.reached)
    refused(desk, post(desk, f"{{ orders {{ edges {{ node {{ id }} }} {beside} }} }}"), before)


def test_what_the_scope_hangs_on_cannot_be_changed_by_arguments(desk: Desk) -> None:
    found = data(post(desk, "{ customers(first: 9) { id label name } }"))
    assert found == {"customers": [{"id": "501", "label": "CANARY_LABEL_501", "name": "Person 501"}]}
    before = len(desk.reached)
    assert refused(desk, post(desk, '{ customers(first: 9) { id label(text: "x") } }'), before)["code"] == (
        "argument_not_granted"
    )


def test_several_fields_are_each_decided(desk: Desk) -> None:
    found = data(post(desk, "{ a: customer(id: 501) { id } b: customer(id: 501) { name } version __typename }"))
    assert found == {"__typename": "Query", "a": {"id": "501"}, "b": {"name": "Person 501"}, "version": "1"}
    before = len(desk.reached)
    refused(desk, post(desk, "{ a: customer(id: 501) { id } b: customer(id: 502) { name } }"), before)


def test_a_change_is_decided_by_its_input(desk: Desk) -> None:
    query = "mutation($i: RefundInput!) { refund(input: $i) { ok echo } }"
    given = {"orderId": "o1", "money": {"amount": 12.5}, "tags": ["a"]}
    found = cast("dict[str, str]", data(post(desk, query, {"i": given}))["refund"])
    assert json.loads(found["echo"])["by"] == "acorn"
    assert json.loads(found["echo"])["money"]["amount"] == 12.5
    before = len(desk.reached)
    for wrong in (
        {**given, "money": {"amount": 501}},
        {**given, "money": {"amount": 450}},
        {**given, "money": {"amount": 5, "currency": "USD"}},
        {**given, "by": "birch"},
        {**given, "money": None},
        {**given, "money": {}},
        {"money": {"amount": 5}},
        {**given, "more": 1},
    ):
        refused(desk, post(desk, query, {"i": wrong}), before)
    records = [each for each in desk.records() if "refund" in str(each.get("statement"))]
    assert {str(each["kind"]) for each in records} >= {"intent", "call"}


def test_types_that_several_fit_are_answered_by_what_stands_there(desk: Desk) -> None:
    query = "{ node(id: %s) { __typename ... on Customer { n: name } ... on Order { total } } }"
    assert data(post(desk, query % 501)) == {"node": {"__typename": "Customer", "n": "Person 501"}}
    assert data(post(desk, query % '"o1"')) == {"node": {"__typename": "Order", "total": 10}}
    hits = '{ search(text: "x") { ... on Node { id } ... on Customer { x: name } ... on Order { x: total } } }'
    found = cast("list[dict[str, object]]", data(post(desk, hits))["search"])
    assert found[0] == {"id": "501", "x": "Person 501"}
    assert found[-1] == {"id": "o2", "x": 20}


def test_errors_of_the_api_keep_their_words_to_themselves(desk: Desk) -> None:
    reply = desk.ask(
        "POST",
        "/shop/graphql",
        json.dumps({"query": "{ me: customer(id: 501) { orders(first: 5, status: PAID) { note } } }"}).encode(),
    )
    assert reply.status == 200  # of customer 501 no note fails
    other = desk.new_session("reader")
    body = json.dumps({"query": "{ customer(id: 502) { id name email region } }"}).encode()
    assert desk.ask("POST", "/shop/graphql", body, token=other.token).status == 200
    failing = desk.gateway.open_session("bot", task="work", user="ada", tenant="acorn", values={"customer_id": "502"})
    body = json.dumps({"query": "{ me: customer(id: 502) { id orders(first: 5) { note } } }"}).encode()
    told = desk.ask("POST", "/shop/graphql", body, token=failing.token)
    assert told.status == 200
    assert told.json["data"] == {"me": None}
    (one,) = cast("list[dict[str, object]]", told.json["errors"])
    assert one["path"] == ["me"]
    assert one["extensions"] == {"code": "NOT_FOUND"}
    assert "CANARY" not in told.body.decode()


def test_an_answer_with_the_gateways_credential_is_withheld(desk: Desk) -> None:
    reply = post(desk, "{ credential }")
    assert reply.status == 502
    assert SECRET not in str(reply)
    assert data(post(desk, "{ version }")) == {"version": "1"}


def test_without_fields_a_grant_shows_what_has_none_of_its_own(desk: Desk) -> None:
    found = data(post(desk, "{ customer(id: 502) { id name email region label meta } }", agent="reader"))
    customer = cast("dict[str, object]", found["customer"])
    assert customer["meta"] == {"public": 502}
    before = len(desk.reached)
    for closed in ("ssn", "friend { id }", "orders { id }"):
        refused(desk, post(desk, f"{{ customer(id: 502) {{ {closed} }} }}", agent="reader"), before)


def test_types_are_those_of_the_scope(desk: Desk) -> None:
    before = len(desk.reached)
    found = data(post(desk, "{ __schema { queryType { fields { name } } types { name fields { name } } } }"))
    told = json.dumps(found)
    for there in ("customer", "Order", "RefundPayload", "total"):
        assert f'"{there}"' in told
    for closed in ("ssn", "margin", "friend", "secrets", "wipe", "PageInfo"):
        assert f'"{closed}"' not in told
    one = data(post(desk, '{ __type(name: "Customer") { description fields { name } } }', agent="reader"))
    names = {each["name"] for each in cast("dict[str, list[dict[str, str]]]", one["__type"])["fields"]}
    assert names == {"id", "name", "email", "region", "label", "meta"}
    assert len(desk.reached) == before


def test_a_misspelled_field_is_answered_with_names_of_the_scope_alone(desk: Desk) -> None:
    before = len(desk.reached)
    told = refused(desk, post(desk, "{ customer(id: 501) { ss } }"), before)
    assert "ssn" not in str(told)
    assert "name" in str(refused(desk, post(desk, "{ customer(id: 501) { nam } }"), before))


def test_the_types_are_asked_of_an_api_without_a_schema_file(desk: Desk) -> None:
    body = json.dumps({"query": "{ version }"}).encode()
    assert desk.ask("POST", "/asked/q", body, agent="reader").json == {"data": {"version": "1"}}
    assert desk.ask("POST", "/asked/q", body).status == 404  # nothing of it is this session's


def test_each_operation_is_one_record_without_values(desk: Desk) -> None:
    post(desk, '{ customers(region: "CANARY_ARGUMENT", first: 3) { id } version }')
    found = [each for each in desk.records() if "customers" in str(each.get("statement"))][-1]
    assert found["decision"] == "allow"
    assert "CANARY" not in str(found)
    assert '"first":3' in str(found["statement"])
    assert re.search(r"shop/Query\.version", str(found["statement"]))
