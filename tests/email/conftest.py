"""A gateway in front of a real mail server, and what reached the server."""

from __future__ import annotations

import http.client
import json
import shutil
import smtplib
import tempfile
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.support.certificates import certificate
from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.mail_server import Got, MailServer, mail_server
from tests.support.mcp_client import McpClient

Json = object
POLICY = """\
bailiwick: 1
mounts:
  mail:
    kind: email
    smtp: ${SMTP_URL}
    from: support@acme.example
    name: Acme Support
    templates: templates
    internal: [acme.example, "*.acme.example"]
  docs:
    kind: files
    root: files
    resources: {papers: {paths: ["papers/**"]}, secrets: {paths: ["secrets/**"]}}
    labels: {"papers/prices/**": [confidential, prices], "papers/board/**": restricted}
roles:
  attaching:
    grants:
      - allow: email:send
        reason: sends papers to colleagues
        args:
          to: {glob: "*.example"}
          subject: any
          body: any
          attachments: {prefix: docs/}
          attachments.number: {max: 2}
          attachments.size: {max: 5000}
          attachments.types: [text/plain, application/pdf, text/markdown]
      - allow: email:send
        reason: answers of partners
        args:
          to: any
          subject: any
          body: any
          attachments: {glob: "upload:*.pdf"}
          attachments.types: application/pdf
      - {allow: papers:read, reason: knows them, mask: [email], args: {level: any}}
      - {allow: papers:read, reason: knows them, args: {type: application/pdf}}
      - {deny: email:send, reason: prices stay here, args: {attachments.labels: prices, external: {over: 0}}}
  pricing:
    inherits: [attaching]
    grants:
      - allow: email:send
        reason: sends prices
        args: {to: any, subject: any, body: any, attachments: any, attachments.level: confidential}
  templates:
    grants:
      - allow: email:send
        reason: tells customers of their invoices
        args: {template: [invoice, plain], to: $customer_email}
  writer:
    grants:
      - allow: email:send
        reason: writes to colleagues, and to partners
        args:
          to: {glob: "*.example"}
          cc: {glob: "*@acme.example"}
          bcc: {glob: "*@acme.example"}
          reply_to: {glob: "*@acme.example"}
          subject: any
          body: any
          html: any
          links: {glob: "*acme.example"}
          recipients: {max: 5}
        limits: {batch: 3}
      - {deny: email:send, reason: never the press, args: {domains: [press.example]}}
  open:
    grants:
      - {allow: email:send, reason: only what means nothing is refused, args: any}
  held:
    grants:
      - {allow: email:send, reason: people decide, args: any}
agents:
  attacher: {owner: ops, purpose: sends papers, roles: [attaching]}
  pricer: {owner: ops, purpose: sends prices, roles: [pricing]}
  open: {owner: ops, purpose: anything, roles: [open]}
  held: {owner: ops, purpose: what people approve, roles: [held]}
  bot: {owner: ops, purpose: invoices, roles: [templates]}
  writer: {owner: ops, purpose: letters, roles: [writer]}
  none: {owner: ops, purpose: nothing, roles: []}
tasks:
  bill: {agents: [bot], context: {customer_email: string}}
gates:
  external: {loosen: [email:send], reason: the tests send to partners}
  secrets: {on: email:send, args: {subject: {prefix: "held:"}}, approvers: [desk]}
"""
TEMPLATES = {
    "invoice.yaml": """\
subject: "Invoice {{ number }}"
description: tells of a new invoice
variables:
  number: {type: string, max: 20}
  name: {type: string, max: 60}
  lines: {type: strings, max: 60, items: 5}
  note: {type: text, max: 500, optional: true}
""",
    "invoice.txt": """\
Dear {{ name }},
{% for line in lines %}{{ loop.index }}. {{ line }}
{% endfor %}{% if note %}{{ note }}
{% endif %}https://pay.acme.example/{{ number }}
""",
    "invoice.html": "<p>Dear {{ name }}</p><a href='https://pay.acme.example/{{ number }}'>pay</a>\n",
    "plain.yaml": "subject: Hello\ntext: Hello.\n",
    "other.yaml": "subject: Other\ntext: 'CANARY-other-template'\n",
}


PAPERS = {
    "papers/a.txt": b"the paper, by ann@corp.example\n",
    "papers/b.pdf": b"%PDF-1.7\n\x00\x01\n",
    "papers/\u00fcber.md": b"# \xc3\xbcber\n",
    "papers/long.txt": b"x" * 6000,
    "papers/page.html": b"<!DOCTYPE html><p>",
    "papers/prices/list.txt": b"CANARY-prices\n",
    "papers/board/minutes.txt": b"CANARY-minutes\n",
    "secrets/key.txt": b"CANARY-secret\n",
}


@dataclass(frozen=True, slots=True)
class Desk:
    """The gateway, and its mail server."""

    gateway: RunningGateway
    server: MailServer
    sessions: dict[str, Credentials] = field(default_factory=dict[str, Credentials])

    def session(self, agent: str = "writer", **values: str) -> Credentials:
        """Open a session."""
        if agent == "bot":
            values = {"customer_email": "ann@customer.example"} | values
            return self.gateway.open_session(agent, task="bill", values=values)
        return self.gateway.open_session(agent)

    def shared(self, agent: str) -> Credentials:
        """Return a session that several tests use."""
        if agent not in self.sessions:
            self.sessions[agent] = self.session(agent)
        return self.sessions[agent]

    def client(self, agent: str = "writer") -> McpClient:
        """Return an MCP client."""
        return McpClient(self.gateway.mcp_port, self.shared(agent).token)

    def submission(self, agent: str = "writer") -> smtplib.SMTP:
        """Return a mail program that is logged in."""
        client = smtplib.SMTP("127.0.0.1", self.gateway.smtp_port, timeout=60)
        client.login(agent, self.shared(agent).token)
        return client

    @property
    def certificate(self) -> Path:
        """The certificate of the port for mail programs."""
        return self.gateway.folder / "cert.pem"

    def taken(self) -> list[Got]:
        """Return what the server got since this was last asked."""
        return self.server.taken()

    def records(self) -> list[dict[str, Json]]:
        """Return the ledger's records so far, the oldest first."""
        told = self.gateway.say("ledger", "query", "--json", "--limit", "5000")
        assert told.returncode == 0, told.stderr
        return [cast("dict[str, Json]", json.loads(line)) for line in told.stdout.splitlines()]

    def post(
        self, token: str, body: object, path: str = "/mail/messages", **headers: str
    ) -> tuple[int, Mapping[str, Json]]:
        """Ask by HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=60)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", path, data, head | {key.replace("_", "-"): each for key, each in headers.items()})
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, cast("Mapping[str, Json]", json.loads(read)) if read else {}


def write_templates(folder: Path, files: Mapping[str, str] = TEMPLATES) -> None:
    """Write a folder of templates."""
    (folder / "templates").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "templates" / name).write_text(text)


@pytest.fixture(scope="package")
def desk() -> Generator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="bwmail"))
    write_templates(folder)
    for path, content in PAPERS.items():
        (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "files" / path).write_bytes(content)
    with mail_server() as server:
        cert, key = certificate(folder)
        settings = f"smtp: {{port: 0, tls_cert: {cert}, tls_key: {key}}}\n"
        gateway = prepare_gateway(folder, POLICY, {"SMTP_URL": f"smtp://127.0.0.1:{server.port}"}, settings)
        try:
            gateway.start()
            yield Desk(gateway, server)
        finally:
            gateway.stop()
            shutil.rmtree(folder, ignore_errors=True)
