"""Requests that try to be read in two ways, or to get further than they may.

None reaches the API; each class has a twin that does.
"""

from __future__ import annotations

import pytest

from tests.http.conftest import SECRET, Desk, Reply

pytestmark = pytest.mark.xdist_group("http")

PATHS = [
    *("/billing/names/..", "/billing/names/.", "/billing/names/../invoices/1", "/billing/../billing/names/a"),
    *("/billing/./names/a", "/billing//names/a", "//billing/names/a", "/billing/names//a", "/billing/names/a//"),
    *("/billing/names/%2e%2e", "/billing/names/%2E%2e%2finvoices", "/billing/names/.%2e", "/billing/names/%2e"),
    *("/billing/names/a%2fb", "/billing/names/a%2Fb", "/billing/names/%2f", "/billing/names/a%5cb"),
    *("/billing/names/a%252fb", "/billing/names/%252e%252e", "/billing/names/%25%32%66", "/billing/names/a%2541"),
    *("/billing/names/%61", "/billing/%6eames/a", "/%62illing/names/a", "/billing/names/a%2Db"),
    *("/billing/names/a;b=c", "/billing/names;x/a", "/billing;x=1/names/a", "/billing/names/a;"),
    *("/billing/names/%00", "/billing/names/a%00.json", "/billing/names/a%0d%0ab", "/billing/names/a%09"),
    *("/billing/names/%c0%ae%c0%ae", "/billing/names/%ff", "/billing/names/%e2%80", "/billing/names/%ed%a0%80"),
    *("/billing/names/%", "/billing/names/%2", "/billing/names/%zz", "/billing/names/%u002e", "/billing/names/a|b"),
    *("/billing/names/a\\b", "/billing/names/a^b", "/billing/names/{name}", '/billing/names/a"b', "/billing/names/<a>"),
    *("/billing/names", "/billing/names/", "/billing/names/a/", "/BILLING/names/a", "/billing/Names/a"),
    *("/billing/files/manuals/../secret", "/billing/files/manuals/%2e%2e/secret", "/billing/files/secret"),
    *("/billing/files/manuals%2f..%2fsecret", "/billing/files/Manuals/a", "/billing/files/manuals/./../x"),
    *("/billing/invoices/1.0", "/billing/invoices/01", "/billing/invoices/+1", "/billing/invoices/0x1"),
    *("/billing/invoices/1e0", "/billing/invoices/1%20", "/billing/invoices/%EF%BC%91", "/billing/invoices/1,2"),
    *("/billing", "/", "/billing/", "/billing/v2/names/a", "/v2/names/a", "/billing/names/" + "a" * 5000),
]
PATH_TWINS = [
    *("/billing/names/a", "/billing/names/a.b", "/billing/names/..a", "/billing/names/%C3%A9", "/billing/names/a%20b"),
    *("/billing/names/a%3Bb", "/billing/names/a@b:c", "/billing/files/manuals/a/b", "/billing/files/manuals/..a"),
    "/billing/invoices/1",
]


def _refused(desk: Desk, before: int, reply: Reply) -> None:
    assert 400 <= reply.status < 500, reply
    assert len(desk.reached) == before
    assert SECRET not in str(reply)


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_can_be_read_in_two_ways_is_refused(desk: Desk, path: str) -> None:
    before = len(desk.reached)
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n\r\n"
    _refused(desk, before, desk.raw(head.encode()))


@pytest.mark.parametrize("path", PATH_TWINS)
def test_a_plain_path_reaches_the_api_as_it_is_meant(desk: Desk, path: str) -> None:
    reply = desk.ask("GET", path)
    assert reply.status in (200, 404)  # the API has no names
    assert desk.reached[-1]["path"] == path.replace("/billing", "/v2")


QUERIES = [
    *("customer_id=501&customer_id=501", "customer_id=501&customer_id=502", "customer_id=502", "customer_id="),
    *(
        "customer_id",
        "=501",
        "customer_id=501&",
        "&customer_id=501",
        "customer_id=501&&page=1",
        "customer_id=501;page=1",
    ),
    *("Customer_id=501", "CUSTOMER_ID=501", "customer_id[]=501", "customer_id%5B%5D=501", "customer_id.=501"),
    *("customer_id=501&x=1", "customer_id=501%26customer_id%3D502", "customer_id=501%00", "customer_id=%ff"),
    *("customer_id=501%", "customer_id=%u0035", "customer_id=0501", "customer_id=501.0", "customer_id=+501"),
    *("customer_id=%20501", "customer_id=501,502", "customer_id=true", "customer_id=501&page=1", "customer%00_id=501"),
    *("customer_id%3D501", "page=1", "customer_id=501#customer_id=502", "customer_id=" + "5" * 20000),
]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_is_not_exactly_what_is_granted_is_refused(desk: Desk, query: str) -> None:
    before = len(desk.reached)
    head = f"GET /billing/invoices?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n"
    reply = desk.raw(head.encode())
    if "#" in query:  # a fragment is none of the server's business: it is not sent on
        assert reply.status in (200, 400)
        assert all("502" not in str(each["query"]) for each in desk.reached[before:])
        return
    _refused(desk, before, reply)


@pytest.mark.parametrize("query", ["", "?customer_id=501", "?customer_id=%35%30%31", "?customer%5Fid=501"])
def test_the_same_query_in_its_spellings_is_sent_in_one(desk: Desk, query: str) -> None:
    assert desk.ask("GET", f"/billing/invoices{query}").status == 200
    assert desk.reached[-1]["query"] == "customer_id=501"


HEADERS = [
    *("X-HTTP-Method-Override: DELETE", "X-HTTP-Method: PUT", "X-Method-Override: PUT", "X-Original-URL: /admin"),
    *("X-Rewrite-URL: /admin", "X-Original-URI: /admin", "X-Forwarded-Prefix: /x", "X-Forwarded-Uri: /x"),
    *(
        "Upgrade: h2c",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Connection: Authorization",
        "Connection: close, X-A",
    ),
    *(
        "Trailer: X-A",
        "Proxy-Authorization: Basic eDp5",
        "Host: localhost",
        "Host: evil.example",
        "Content-Type: a/b\r\nContent-Type: a/c",
    ),
    *(
        "Authorization: Bearer x",
        "X_Forwarded_For: 1",
        "Idempotency_Key: 1",
        "X-A: caf\xe9",
        "X-A: a\x01b",
        "X-A: a\x7fb",
    ),
    *("Content-Length: 0\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: +0", "Content-Length: 0x0"),
    *(
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
    ),
    *(
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ),
    *(" X-A: folded", "X-A : space", "X-A", ": empty", "Content-Encoding: gzip\r\nContent-Length: 0", "X-A: 1\rX-B: 2"),
    *(
        "Content-Length: 99999999999999999999",
        "Content-Length: 1048577",
        "Content-Length: -1",
        "Expect: x\r\nUpgrade: a",
    ),
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_that_smuggles_is_refused(desk: Desk, header: str) -> None:
    before = len(desk.reached)
    head = f"GET /billing/names/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n{header}\r\n\r\n"
    _refused(desk, before, desk.raw(head.encode("latin-1")))


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-For: 1.2.3.4", "Accept: text/html, */*;q=0.1", "User-Agent: x (y)", "Cookie: a=b", "X-A: 1"),
        *("Connection: keep-alive", "Accept-Encoding: gzip, deflate, br", "TE: trailers\r\nConnection: TE"),
    ],
)
def test_what_every_client_sends_is_taken_and_not_sent_on(desk: Desk, header: str) -> None:
    head = f"GET /billing/names/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n{header}\r\n\r\n"
    assert desk.raw(head.encode()).status == 404  # the API's own
    sent = desk.sent_headers
    assert set(sent) == {"host", "accept", "user-agent", "accept-encoding", "authorization"}
    assert sent["user-agent"] == "bailiwick"


def test_a_second_request_hidden_in_a_body_is_no_request(desk: Desk) -> None:
    before = len(desk.reached)
    hidden = b"GET /billing/names/hidden HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n"
    for head in (
        b"POST /billing/refunds HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n"
        b"Content-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        b"POST /billing/refunds HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n"
        + hidden,
    ):
        _refused(desk, before, desk.raw(head))


BODIES = [
    *(
        '{"customer_id":501,"customer_id":502}',
        '{"customer_id":501,"Customer_id":502}',
        '{"customer_id":501,"amount":1e400}',
    ),
    *(
        '{"customer_id":501,"amount":NaN}',
        '{"customer_id":501,"amount":Infinity}',
        '{"customer_id":"501"}',
        "[]",
        "null",
        "1",
    ),
    *(
        '{"customer_id":501,"amount":"1"}',
        '{"customer_id":501.0}',
        '{"customer_id":true}',
        '{"customer_id":null}',
        "{",
        "",
    ),
    *('{"customer_id":501}{"customer_id":502}', '{"customer_id":501,}', "{'customer_id':501}", '{"customer_id":[501]}'),
    *(
        '{"customer_id":{"$gt":0}}',
        '{"customer_id":501,"note":"\\ud800"}',
        '{"customer_id":501,"note":{"a":1}}',
        "\ufeff{}",
    ),
    *('{"customer_id":501,"by":"x"}', '{"customer_id":501,"by":{}, "by":{"tenant":"b"}}', '{"by":{"tenant":"other"}}'),
    *('{"customer_id":501,"by.tenant":"other"}', '{"__proto__":{"admin":true}}', '{"customer_id":501,"tags":["a"]}'),
    *('{"customer\\u005fid":501,"customer_id":502}', '{"customer_id":501,"note":' + "[" * 100 + "]" * 100 + "}"),
    *('{"customer_id":501,"amount":-1e999}', '{"customer_id":501,"amount":501}', '{"customer_id":501,"x":1}', "/**/{}"),
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_can_be_read_in_two_ways_or_goes_too_far_is_refused(desk: Desk, body: str) -> None:
    before = len(desk.reached)
    _refused(desk, before, desk.ask("POST", "/billing/refunds", body.encode("utf-8", "surrogatepass")))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"{}"),
        ("application/xml", b"<a/>"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded", b"customer_id=501&amount=1"),
        ("application/json; charset=utf-7", b"{}"),
        ("application/json; charset=utf-16", '{"customer_id":501}'.encode("utf-16")),
        ("application/json, text/plain", b"{}"),
        ("application/jsonp", b"{}"),
        ("", b"{}"),
    ],
)
def test_a_body_of_another_type_is_refused(desk: Desk, kind: str, body: bytes) -> None:
    before = len(desk.reached)
    _refused(desk, before, desk.ask("POST", "/billing/refunds", body, {"Content-Type": kind}))


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=UTF-8"])
def test_a_plain_body_is_sent_as_it_was_understood(desk: Desk, kind: str) -> None:
    body = b'{"customer_id":  501, "amount": 1.50, "note": "\\u00e9"}'
    assert desk.ask("POST", "/billing/refunds", body, {"Content-Type": kind}).status == 201
    assert desk.reached[-1]["body"] == '{"customer_id":501,"amount":1.5,"note":"é","by":{"tenant":"acorn"}}'


FORMS = [
    "text=a&text=b",
    "text=a&count=1&admin=1",
    "text=a&count=x",
    "text=a;count=1",
    "text[]=a",
    "text=%zz",
    "text",
    "a",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_is_not_exactly_what_is_granted_is_refused(desk: Desk, form: str) -> None:
    before = len(desk.reached)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    _refused(desk, before, desk.ask("POST", "/billing/forms", form.encode(), kind))


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "CONNECT", "HEAD", "PATCH", "PROPFIND", "get", "DELETE", "PUT"])
def test_a_method_that_is_not_granted_is_refused(desk: Desk, method: str) -> None:
    before = len(desk.reached)
    head = f"{method} /billing/invoices/1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n"
    if method == "HEAD":
        assert desk.ask("HEAD", "/billing/invoices/1").status == 405
        assert len(desk.reached) == before
        return
    _refused(desk, before, desk.raw(head.encode()))


@pytest.mark.parametrize(
    "headers",
    [
        *("", "Authorization: Bearer", "Authorization: Bearer x", "Authorization: Basic eDp5", "authorization: TOKEN"),
        *("Authorization: Bearer TOKENx", "Cookie: token=TOKEN", "Authorization: Bearer TOKEN\r\nOrigin: https://evil"),
        *("X-Api-Key: TOKEN", "Proxy-Authorization: Bearer TOKEN"),
    ],
)
def test_without_its_own_token_nobody_is_served(desk: Desk, headers: str) -> None:
    before = len(desk.reached)
    line = f"{headers}\r\n" if headers else ""
    reply = desk.raw(f"GET /billing/names/a HTTP/1.1\r\nHost: localhost\r\n{line}\r\n".encode())
    _refused(desk, before, reply)
    assert reply.status in (400, 401, 403)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "169.254.169.254", ""])
def test_a_request_that_is_addressed_elsewhere_is_refused(desk: Desk, host: str) -> None:
    before = len(desk.reached)
    head = f"GET /billing/names/a HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer TOKEN\r\n\r\n"
    _refused(desk, before, desk.raw(head.encode()))


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest", "http://evil.example/billing/names/a", "//evil/x", "*"]
)
def test_a_target_that_names_a_host_leads_nowhere_else(desk: Desk, target: str) -> None:
    before = len(desk.reached)
    desk.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\n\r\n".encode())
    if len(desk.reached) > before:  # what names a path of a route is read as that path alone
        assert desk.sent_headers["host"] == f"127.0.0.1:{desk.port}"


def test_after_all_of_this_nothing_is_told_of_the_credential(desk: Desk) -> None:
    told = str(desk.records()) + desk.gateway.log()
    assert SECRET not in told
    assert desk.session().token not in told
    assert desk.ask("GET", "/billing/invoices/1").status == 200
