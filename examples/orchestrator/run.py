"""An orchestrator that delegates to two agents with less: tokens by RFC 8693, and all of them end with the first."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).parents[1]))

from playing import Agent, Company, Day  # beside the examples, not in a package

HERE = Path(__file__).parent
FILES = {"briefs/shoes.md": "Compare soles.\n", "reports/2025/old.md": "Soles of 2025.\n"}
SECRET = secrets.token_urlsafe(32)
TYPE = "urn:ietf:params:oauth:token-type:access_token"


def delegate(company: Company, agent: Agent, to: str) -> Agent:
    """Have the gateway give another agent a part of an agent's session."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": agent.token,
        "subject_token_type": TYPE,
        "authorization_details": json.dumps([{"type": "bailiwick_session", "agent": to}]),
        "client_id": "orchestrator",
        "client_secret": SECRET,
    }
    request = Request(f"{company.api}/oauth/token", urlencode(form).encode())  # the gateway's own address
    with urlopen(request, timeout=60) as answer:
        told = json.loads(answer.read())
    return Agent(to, "", str(told["access_token"]), company.mcp)


def main() -> int:
    """Make an office, serve the policy, delegate."""
    day = Day()
    with tempfile.TemporaryDirectory(prefix="office-") as name:
        folder = Path(name) / "home"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "README.md", "__pycache__"))
        for path, text in FILES.items():
            file = folder / "office" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        company = Company(folder, {"ORCHESTRATOR_SECRET": SECRET})
        company.run("accept", "--yes")
        with company.serving():
            lead = company.open("orchestrator")
            reader, writer = delegate(company, lead, "reader-bot"), delegate(company, lead, "writer-bot")
            day.chapter("An orchestrator, and two agents with less")
            day.see("the reader reads", reader.call("read_file", path="briefs/shoes.md"), "Compare soles")
            day.check("and has nothing to write with", "write_file" not in reader.tools())
            day.see(
                "the writer writes",
                writer.call("write_file", path="reports/2026/shoes.md", content="Good.\n"),
                "version",
            )
            day.see("where both may", writer.call("write_file", path="reports/2025/new.md", content="-"), "code")
            day.see("and reads nothing", writer.call("read_file", path="briefs/shoes.md"), "code")
            day.see("the orchestrator looks through it", lead.call("read_file", path="reports/2026/shoes.md"), "Good")
            company.run("session", "revoke", lead.session)
            day.check("when its session ends, theirs do", _ended(reader) and _ended(writer))
            chain = company.run("ledger", "query", "agent:writer-bot chain:orchestrator", "--json")
            day.check("the ledger has the chain", '"reports:create"' in chain)
        return day.end()


def _ended(agent: Agent) -> bool:
    try:
        agent.tools()
    except OSError:
        return True
    return False


if __name__ == "__main__":
    raise SystemExit(main())
