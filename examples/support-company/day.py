"""A day at the support company: three agents, their people, and what the ledger says of it in the evening.

Run it with `make example`. It starts a real PostgreSQL, an MCP server, a mail server and the gateway, all on this
machine, plays the day, and throws everything away. Exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import asyncpg
from aiosmtpd.smtp import SMTP, Envelope, Session

from bailiwick.demo.database import Running, running

sys.path.insert(0, str(Path(__file__).parents[1]))

from playing import CANARY, Agent, Company, Day, Json  # beside the examples, not in a package

HERE = Path(__file__).parent


class Mailbox:
    """A mail server's one mailbox."""

    def __init__(self) -> None:
        self.mails: list[tuple[tuple[str, ...], str]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802  # theirs
        """Keep a message."""
        self.mails.append((tuple(envelope.rcpt_tos), cast("bytes", envelope.content).decode()))
        return "250 kept"


@contextmanager
def mail_server(box: Mailbox) -> Generator[int]:
    """Run a mail server on this machine until the block ends; yields its port."""
    loop = asyncio.new_event_loop()
    serving = loop.create_server(lambda: SMTP(box, loop=loop), "127.0.0.1", 0)
    server = loop.run_until_complete(serving)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        loop.close()


def tickets(company: Company, day: Day) -> Agent:
    """The support bot answers ticket 4521, and reaches nothing but it."""
    day.chapter("Ticket 4521: support-bot, for grace, in region eu")
    bot = company.open("support-bot", "handle-ticket", "support", "eu", ticket_id=4521)
    day.see(
        "reads its ticket",
        bot.sql("SELECT ticket_id, subject, status FROM tickets"),
        '[[4521, "Where is my parcel?", "open"]]',
    )
    day.see("reads that customer, masked", bot.sql("SELECT customer_id, name, email, phone FROM customers"), "1234")
    day.see("no other ticket exists", bot.sql("SELECT subject FROM tickets WHERE ticket_id <> 4521"), '"rows": []')
    day.see("no address is shown", bot.sql("SELECT address FROM customers"), "field_not_granted")
    day.see("salaries do not exist", bot.sql("SELECT * FROM salaries"), "resource_unknown")
    day.see("closes it", bot.sql("UPDATE tickets SET status = 'closed' WHERE ticket_id = 4521"), '"affected": 1')
    day.see("but not to any status", bot.sql("UPDATE tickets SET status = 'deleted' WHERE ticket_id = 4521"), "code")
    day.see("reads the article on its topic", bot.call("read_file", path="kb/shipping/parcels.md"), "five days")
    day.see("no other article", bot.call("read_file", path="kb/billing/invoices.md"), "code")
    day.check("neither billing nor mail exists for it", not {"send", "list_invoices", "refund"} & set(bot.tools()))
    return bot


def regions(company: Company, day: Day) -> None:
    """An agent of the other region sees the other region."""
    day.chapter("Ticket 4600: support-bot in region us")
    bot = company.open("support-bot", "handle-ticket", "support", "us", ticket_id=4600)
    found = json.dumps(bot.sql("SELECT ticket_id, region FROM tickets"))
    day.check("sees its own region alone", '"rows": [[4600, "us"]]' in found)
    about = ("--agent", "support-bot", "--task", "handle-ticket", "--user", "grace", "--group", "support")
    opened = company.run("session", "open", *about, "--tenant", "eu", "--set", "ticket_id=4600", code=None)
    day.check("in region eu no session for it can be opened", not opened)


def escalation(company: Company, day: Day, bot: Agent) -> None:
    """For four hours, with the manager's approval, the support bot sees every ticket of its region."""
    day.chapter("An escalation: full ticket access for at most four hours")
    why = "ticket 4521 belongs to a series"
    asked = bot.call("request_elevation", elevation="full-tickets", duration="4h", reason=why)
    day.see("asks for it", asked, "apr_")
    day.see("has nothing of it yet", bot.sql("SELECT count(*) FROM tickets"), '"rows": [[1]]')
    company.run("elevation", "approve", _approval(asked))
    day.see("has it", bot.sql("SELECT count(*) FROM tickets"), '"rows": [[2]]')
    (granted,) = cast("Sequence[Mapping[str, str]]", company.json("elevation", "list")["in_force"])
    lasts = datetime.fromisoformat(granted["ends_at"]) - datetime.fromisoformat(granted["granted_at"])
    day.check(f"for {lasts}, after which it ends by itself", lasts == timedelta(hours=4))
    day.see(
        "but not for five hours",
        bot.call("request_elevation", elevation="full-tickets", duration="5h", reason=why),
        "14400",
    )


def _approval(answer: Mapping[str, Json]) -> str:
    text = json.dumps(answer)
    begin = text.index("apr_")
    return text[begin : begin + 30]


def billing(company: Company, day: Day, box: Mailbox) -> None:
    """The billing agent writes an invoice and sends it; refunds need people."""
    day.chapter("Billing: billing-agent, for customer 70")
    agent = company.open("billing-agent", "bill-customer", "finance", "eu", customer_id=70)
    day.see(
        "reads the customer in full", agent.sql("SELECT name, email, address FROM customers"), "Lindenweg 1, Berlin"
    )
    day.see("reads that customer's invoices", agent.call("list_invoices", customer_id=70), "INV-1")
    day.see("nobody else's", agent.call("list_invoices", customer_id=71), "argument_not_granted")
    made = agent.call("create_invoice", customer_id=70, amount=40, text="laces")
    day.see("creates an invoice", made, "INV-4")
    mail = {"template": "invoice", "variables": {"number": "INV-4", "amount": 40}}
    other = ["documents/kb/shipping/parcels.md"]
    day.see("nothing but articles on billing goes with it", agent.call("send", **mail, attachments=other), "code")
    with_article = {**mail, "attachments": ["documents/kb/billing/invoices.md"]}
    day.see("sends it by its template, with the article on invoices", agent.call("send", **with_article), "")
    day.check(
        "the customer has it",
        bool(box.mails)
        and box.mails[-1][0] == ("ada@mail.example",)
        and "INV-4" in box.mails[-1][1]
        and "invoices.md" in box.mails[-1][1],
    )
    day.see("nobody else can be written to", agent.call("send", **mail, to=["thief@mail.example"]), "code")
    day.see("nor with words of its own", agent.call("send", subject="hello", body="send me money"), "code")
    day.check("nothing else was sent", len(box.mails) == 1)
    day.check("refunds do not exist for it", "refund" not in agent.tools())
    asked = agent.call("request_elevation", elevation="refunds", duration="1h", reason="INV-1 was charged twice")
    company.run("elevation", "approve", _approval(asked))
    day.see(
        "with an elevation, a small refund is made", agent.call("refund", customer_id=70, amount=20), '"refunded": 20'
    )
    held = agent.call("refund", customer_id=70, amount=120)
    day.see("a large one is held", held, "apr_")
    company.run("approvals", "approve", _approval(held), "--text", "charged twice indeed")
    day.see("and made once somebody approved it", agent.call("refund", customer_id=70, amount=120), '"refunded": 120')
    day.see("once", agent.call("refund", customer_id=70, amount=120), "apr_")


def onboarding(company: Company, day: Day, box: Mailbox) -> None:
    """The onboarding agent welcomes a customer, opens a ticket and writes to the knowledge base."""
    day.chapter("Onboarding: onboarding-agent, for customer 70")
    agent = company.open("onboarding-agent", "welcome-customer", "success", "eu", customer_id=70)
    ticket = "INSERT INTO tickets (customer_id, subject, body) VALUES (70, 'Set-up', 'Call back')"
    day.see("opens a ticket", agent.sql(ticket), '"affected": 1')
    day.see("for nobody else", agent.sql(ticket.replace("70", "71")), "code")
    day.see("reads no tickets", agent.sql("SELECT subject FROM tickets"), "code")
    day.see("sees the name masked", agent.sql("SELECT name FROM customers"), "*")
    day.see("welcomes the customer", agent.call("send", template="welcome"), "")
    day.see("and once more", agent.call("send", template="welcome"), "")
    day.see("two mails a day are the limit", agent.call("send", template="welcome"), "limit")
    day.check("two were sent", [to for to, text in box.mails if "Welcome" in text] == [("ada@mail.example",)] * 2)
    day.see(
        "improves a draft",
        agent.call("write_file", path="kb/drafts/first-steps.md", content="# Notes\n\nAsk for the size.\n"),
        "version",
    )
    day.see(
        "leaves published articles alone", agent.call("write_file", path="kb/shipping/parcels.md", content="-"), "code"
    )


def answers(company: Company, day: Day) -> None:
    """The ledger answers the six questions about the large refund."""
    asked = company.run("ledger", "query", "action:billing:refund", "--json").splitlines()
    records = [cast("Mapping[str, Json]", json.loads(line)) for line in asked]
    intent = next(each for each in records if each["kind"] == "intent" and "120" in str(each["statement"]))
    outcome = next(each for each in records if each.get("refers") == intent["id"])
    approved = next(each for each in records if each["kind"] == "approval.verdict")
    who = f"{intent['agent']} for {intent['user']} in {intent['task']}, approved by {_detail(approved)['by']}"
    for question, answer, expected in (
        ("what happened", intent["statement"], 'refund {"amount":120,"customer_id":70}'),
        ("who triggered it", who, "billing-agent for grace in bill-customer, approved by local:"),
        ("what data was touched", f"{intent['mount']}, {intent['actions']}", "billing_system, ['billing:refund']"),
        ("which permissions were used", f"{intent['grants']} {_detail(intent)}", "['refund'] {'approval': 'apr_"),
        ("what was the outcome", f"{outcome.get('code', 'done')}, {outcome['bytes']} bytes answered", "done, "),
        ("when", f"{intent['at']}, took {outcome['duration_us']} µs", "Z, took "),
    ):
        day.see(f"{question}?", {"message": str(answer)}, expected.replace('"', '\\"'))


def _detail(record: Mapping[str, Json]) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", record["detail"])


def evening(company: Company, day: Day, bot: Agent) -> None:
    """What the ledger says: what happened, for whom, on which data, with which permission, how it ended, when."""
    day.chapter("In the evening")
    verified = company.json("ledger", "verify")
    day.check(f"the ledger is whole: {verified['records']} records", verified["ok"] is True)
    story = company.run("ledger", "story", bot.session)
    print("\n".join(f"  | {line}" for line in story.splitlines()[:12]), "\n  | …")
    day.check(
        "its story names the person, the data and the elevation",
        all(w in story for w in ("grace", "tickets (", "elevation")),
    )
    day.check("and nothing that it did not see", CANARY not in story)
    report = company.json("ledger", "report", "violations", "--html", "violations.html")
    causes = cast("Sequence[Mapping[str, Json]]", report["causes"])
    print(f"  denied this month: {report['total']}; most often {causes[0]['code']} of {causes[0]['agent']}")
    day.check("the report of violations has every agent", len(cast("Sequence[Json]", report["agents"])) == 3)
    told = company.run("ledger", "query", "kind:call,outcome detail.elevation:*_*", "--json").splitlines()
    day.check("what was done under an elevation is marked", len(told) >= 2)
    answers(company, day)
    company.run("review", "open", "--agent", "billing-agent")
    reviews = company.run("review", "list")
    day.check("the quarterly review of the billing agent is open", "billing-agent" in reviews or "finance" in reviews)
    day.check("nothing of what is hidden stands in the ledger", CANARY not in company.run("ledger", "export"))


async def load(database: Running) -> None:
    """Make the CRM."""
    admin = await asyncpg.connect(database.url("postgres", "postgres"))
    await admin.execute("CREATE DATABASE crm")
    await admin.close()
    owner = await asyncpg.connect(database.url("postgres", "crm"))
    await owner.execute((HERE / "schema.sql").read_text())
    await owner.execute(f"ALTER ROLE gateway PASSWORD '{database.password}'")  # letters, digits, `-` and `_`
    await owner.close()


def prepare(folder: Path) -> Path:
    """Copy the company's policy into a folder, with full paths of what its mounts start."""
    company = folder / "company"
    shutil.copytree(HERE / "company", company)
    command = json.dumps([sys.executable, str(HERE / "billing_server.py"), str(folder / "billing.db")])
    policy = company / "policy.yaml"
    policy.write_text(policy.read_text().replace("[python, billing_server.py, billing.db]", command))
    return company


def main() -> int:
    """Play the day."""
    box = Mailbox()
    with tempfile.TemporaryDirectory(prefix="acme-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL runs as another user where this one is root
        (folder / "postgres").mkdir()
        with running(folder / "postgres") as database, mail_server(box) as port:
            asyncio.run(load(database))
            urls = {"CRM_URL": database.url("gateway", "crm"), "SMTP_URL": f"smtp://127.0.0.1:{port}"}
            company = Company(prepare(folder), urls)
            if "--accept" in sys.argv:  # after a change of tables, tools or templates
                print(company.run("accept", "--yes"))
                shutil.copy(company.folder / "bailiwick.lock", HERE / "company" / "bailiwick.lock")
                return 0
            return play(company, box)


def play(company: Company, box: Mailbox) -> int:
    """Play the day at a company that is there; return the exit code."""
    day = Day()
    overview = company.run("matrix").splitlines()
    print("\n".join(overview[: next(at for at, line in enumerate(overview) if line.startswith("└")) + 1]))
    with company.serving():
        bot = tickets(company, day)
        regions(company, day)
        escalation(company, day, bot)
        billing(company, day, box)
        onboarding(company, day, box)
        evening(company, day, bot)
    return day.end()


if __name__ == "__main__":
    raise SystemExit(main())
