"""A real gateway with a console, a real issuer, and browsers that are no more than cookies and redirects."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import unescape
from pathlib import Path
from typing import cast
from urllib.parse import urlencode, urljoin, urlsplit

import psycopg
import psycopg.sql
import pytest

from tests.support.gateway import Credentials, RunningGateway
from tests.support.postgres import Database

SECRET = "console-secret-canary-4711"
POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources: {items: {table: public.items, key: id, labels: {email: confidential, secret: restricted}}}
  billing:
    kind: http
    url: http://127.0.0.1:PORT/v2
    routes:
      POST /refunds: {action: refunds:create, body: {customer_id: integer, amount: number, note: string}}
  shop:
    kind: sql
    engine: sqlite
    file: shop.db
    resources:
      orders: {table: orders, key: order_id, tenant: tenant_id, labels: {note: confidential}}
      customers: {table: customers, key: customer_id, labels: {ssn: restricted}}
roles:
  support:
    grants:
      - {allow: orders:read, reason: answers for its region, fields: [order_id, tenant_id, region, note]}
      - {allow: items:read, reason: looks, fields: [id, owner, note, email], rows: {owner: 1}}
      - {allow: items:update:note, reason: edits, through: queue, limits: {batch: 30}}
      - {allow: items:delete, reason: removes, through: queue}
      - {allow: refunds:create, reason: small refunds, args: any}
      - {allow: customers:read, reason: addresses people, fields: [customer_id, name]}
  vault:
    grants:
      - {allow: items:read, reason: looks, fields: [id, note, secret], rows: {owner: 1}}
      - {allow: items:update, reason: rotates, fields: [note, secret], through: queue, limits: {batch: 5}}
  seeing:
    grants:
      - {allow: customers:read, reason: looks at one while people wait, fields: [name, ssn], mask: {ssn: partial}}
agents:
  vault-bot: {owner: support, purpose: rotates secrets, roles: [vault]}
  desk-bot: {owner: support, purpose: "answers <b>people</b>", roles: [support], limits: {actions: 2000/day}}
  idle-bot: {owner: support, purpose: does nothing yet, roles: [support]}
gates:
  restricted: {loosen: [items:read:secret], reason: the tests look at it}
  large-refund: {on: refunds:create, args: {body.amount: {over: 50}}, approvers: [finance], message: over fifty}
review: {every: 90d, approvers: [finance]}
elevations:
  seeing: {role: seeing, for: [desk-bot], max: 4h, approvers: [finance]}
tasks:
  look: {agents: [desk-bot], users: {groups: [support]}}
"""
SCRIPT = """
CREATE TABLE public.items (id int PRIMARY KEY, owner int, note text, email text, secret text);
INSERT INTO public.items SELECT g, CASE WHEN g < 90 THEN 1 ELSE 2 END, 'note ' || g, 'mail' || g || '@x.example',
  'kept-secret' FROM generate_series(1, 100) g;
"""
SETTINGS = """
api: {{port: 0}}
issuers:
  login:
    issuer: "{issuer}"
    audience: bailiwick
    client_id: console
    secret: "${{CONSOLE_SECRET}}"
    roles: {{auditor: [sales], approver: [finance], administrator: [platform], viewer: [onlookers]}}
"""
ROWS = ((1, 4, "EU", "canary-eu-four"), (2, 4, "US", "canary-us-four"), (3, 5, "EU", "canary-eu-five"))


@dataclass(frozen=True)
class Page:
    """What a server answered."""

    url: str
    status: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    text: str

    @property
    def token(self) -> str:
        """The token that the page's forms carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.text)
        return "" if found is None else found[1]


@dataclass
class Browser:
    """Cookies by host and port, and where it is."""

    base: str
    jar: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def once(
        self,
        url: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        method: str = "",
    ) -> Page:
        """Send one request, and follow nothing. A form is sent as a page of this place would send it."""
        whole = urljoin(self.base + "/", url)
        parts = urlsplit(whole)
        mine = self.jar.setdefault(parts.netloc, {})
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in mine.items())} if mine else {}
        body = None
        if form is not None:
            body = urlencode(form)
            sent |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"{parts.scheme}://{parts.netloc}",
            }
        sent = {name: value for name, value in (sent | dict(headers or {})).items() if value}
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method or ("GET" if body is None else "POST"), target, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        cookies = tuple(value for name, value in answer.getheaders() if name.lower() == "set-cookie")
        connection.close()
        for each in cookies:
            name, _, value = each.partition(";")[0].partition("=")
            if value and "Max-Age=0" not in each:
                mine[name] = value
            else:
                mine.pop(name, None)
        return Page(whole, answer.status, {name.lower(): value for name, value in answer.getheaders()}, cookies, text)

    def go(self, url: str, form: Mapping[str, str] | None = None, stop: str = "") -> Page:
        """Send a request and follow where it leads; `stop`: not to what has this in its address."""
        page = self.once(url, form)
        for _ in range(12):
            if page.status not in (301, 302, 303):
                return page
            place = urljoin(page.url, page.headers["location"])
            if stop and stop in place:
                return replace(page, url=place)
            page = self.once(place)
        raise AssertionError("it leads nowhere")

    def log_in(self, name: str, to: str = "/console", more: str = "", stop: str = "") -> Page:
        """Log in at the issuer as somebody, and return the page that this leads to."""
        page = self.go(f"/console/login/oidc/login?to={to}{more}", stop=stop)
        while "/interaction/" in page.url:
            action = re.search(r'action="([^"]+)"', page.text)
            prompt = re.search(r'name="prompt" value="([^"]+)"', page.text)
            assert action is not None
            assert prompt is not None
            form = {"prompt": prompt[1]}
            if prompt[1] == "login":
                form |= {"login": name, "password": "x"}
            page = self.go(unescape(action[1]), form, stop)
        return page


@dataclass(frozen=True)
class World:
    """The issuer and the gateway."""

    issuer: str
    gateway: RunningGateway
    database: Database
    reached: Path
    """What reached the API behind the gateway, a line a request."""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.api_port}"

    def link(self) -> str:
        return str(self.gateway.admin.ask("console.link", {})["url"])

    def browser(self, name: str = "") -> Browser:
        """Return a browser, in which somebody is logged in if a name is given; `root` by a link."""
        browser = Browser(self.base)
        if name == "root":
            link = self.link()
            page = browser.go("/console/login/link", {"token": link.rpartition("=")[2]})
            assert page.status == 200, page.text
        elif name:
            page = browser.log_in(name)
            assert page.status == 200, page.text
        return browser

    def held(self, session: Credentials, sql: str, reason: str = "") -> str:
        """Have an agent write what is held; return the id of the approval."""
        with psycopg.connect(replace(session, database="crm").url(), autocommit=True) as connection:
            if reason:
                connection.execute(psycopg.sql.SQL("SET bailiwick.reason = {}").format(reason))
            with pytest.raises(psycopg.Error) as error:
                connection.execute(sql.encode())
        found = re.search(r"apr_[0-9A-Z]{26}", f"{error.value.diag.message_primary} {error.value.diag.message_hint}")
        assert found is not None, str(error.value)
        return found[0]

    def elevation(self, session: Credentials, reason: str, seconds: int = 3600) -> Mapping[str, object]:
        """Have somebody ask for an elevation of a session; another duration is another request."""
        asked = {"elevation": "seeing", "duration": f"{seconds}s", "reason": reason, "session": session.id}
        return cast("Mapping[str, object]", self.gateway.admin.ask("elevation.request", asked)["elevation"])

    def granted(self, asked: Mapping[str, object]) -> None:
        """Have a reviewer approve an elevation, and wait until it is in force."""
        browser, place = self.browser("ann"), f"/console/approvals/{asked['id']}"
        form = {"csrf": browser.once(place).token, "digest": str(asked["digest"]), "verdict": "approve"}
        assert browser.once(f"{place}/decide", form).status == 303
        until = time.monotonic() + 30
        while str(asked["id"]) not in str(self.gateway.admin.ask("elevation.list", {})["in_force"]):
            assert time.monotonic() < until
            time.sleep(0.02)

    def refund(self, session: Credentials, amount: float, note: str) -> tuple[int, str]:
        """Have an agent ask for a refund; return the status and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=60)
        body = json.dumps({"customer_id": 501, "amount": amount, "note": note})
        headers = {"Authorization": f"Bearer {session.token}", "Content-Type": "application/json"}
        headers["Bailiwick-Reason"] = f"the customer is <b>{note}</b>"
        connection.request("POST", "/billing/refunds", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def query(self, token: str, sql: str) -> str:
        """Have an agent ask the shop, and return what it is told."""
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        params = {"name": "query", "arguments": {"mount": "shop", "sql": sql}}
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.mcp_port, timeout=60)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        connection.request("POST", "/mcp", json.dumps({**message, "params": params}), headers)
        text = connection.getresponse().read().decode()
        connection.close()
        return text
