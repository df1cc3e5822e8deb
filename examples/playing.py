"""What the examples share: a gateway run by its command line, an agent with nothing but a token, and a tally."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.request import Request, urlopen

CANARY = "canary"
"""What no agent of the examples may ever see stands in their data under this word."""

Json = object


class Company:
    """The gateway of the company, as people run it: by its command line."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = {**os.environ, **environ, "NO_COLOR": "1", "COLUMNS": "150"}
        self._process: subprocess.Popen[bytes] | None = None
        self.mcp = ""
        self.api = ""

    def run(self, *arguments: str, code: int | None = 0) -> str:
        """Run `bailiwick` in the company's folder; return what it printed."""
        command = [str(Path(sys.executable).with_name("bailiwick")), *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self._environ, capture_output=True, text=True, check=False)
        if code is not None and done.returncode != code:
            raise SystemExit(f"bailiwick {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments: str) -> Mapping[str, Json]:
        """Run it and return the JSON that it printed."""
        return cast("Mapping[str, Json]", json.loads(self.run(*arguments, "--json")))

    @contextmanager
    def serving(self) -> Generator[None]:
        """Serve the policy until the block ends."""
        log = (self.folder / "gateway.log").open("wb")
        command = [str(Path(sys.executable).with_name("bailiwick")), "serve", "policy.yaml"]
        self._process = subprocess.Popen(command, cwd=self.folder, env=self._environ, stdout=log, stderr=log)
        try:
            self._wait()
            yield
        finally:
            self._process.terminate()
            self._process.wait(60)
            log.close()

    def _wait(self) -> None:
        for _ in range(600):
            if self._process is not None and self._process.poll() is not None:
                raise SystemExit((self.folder / "gateway.log").read_text())
            found = self.run("status", "--json", code=None)
            if found:
                fronts = cast("Mapping[str, Mapping[str, Json]]", json.loads(found)["fronts"])
                self.mcp = f"http://127.0.0.1:{fronts['mcp']['port']}/mcp"
                self.api = f"http://127.0.0.1:{fronts['api']['port']}" if "api" in fronts else ""
                return
            time.sleep(0.1)
        raise SystemExit("the gateway did not start")

    def open(self, agent: str, task: str = "", group: str = "", tenant: str = "", **values: int | str) -> Agent:
        """Open a session for an agent, as the company's own application does."""
        about = (("--task", task), ("--group", group), ("--tenant", tenant))
        given = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
        told = self.run(
            *("session", "open", "--agent", agent, "--user", "grace", "--format", "json"),
            *(part for name, text in about if text for part in (name, text)),
            *given,
        )
        opened = cast("Mapping[str, Json]", json.loads(told))
        session = cast("Mapping[str, str]", opened["session"])
        return Agent(agent, session["id"], str(opened["token"]), self.mcp)


class Agent:
    """An agent with a session: all that it has is a token."""

    def __init__(self, name: str, session: str, token: str, url: str) -> None:
        self.name = name
        self.session = session
        self.token = token
        self._url = url

    def tools(self) -> list[str]:
        """Return the names of the tools that exist for it."""
        return [str(tool["name"]) for tool in cast("list[Mapping[str, Json]]", self._ask("tools/list", {})["tools"])]

    def call(self, tool: str, **arguments: Json) -> Mapping[str, Json]:
        """Call a tool; return what it answers, with `code` where it was refused or held."""
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        found = result.get("structuredContent")
        return cast("Mapping[str, Json]", found) if isinstance(found, dict) else {"text": json.dumps(result)}

    def sql(self, statement: str) -> Mapping[str, Json]:
        """Ask the CRM."""
        return self.call("query", sql=statement)

    def _ask(self, method: str, params: Mapping[str, Json]) -> Mapping[str, Json]:
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json, text/event-stream",
            "Content-Type": "application/json",
            "MCP-Protocol-Version": "2025-11-25",
        }
        with urlopen(Request(self._url, json.dumps(message).encode(), headers), timeout=60) as answer:  # ours
            text = answer.read().decode()
        found = cast("Mapping[str, Mapping[str, Json]]", json.loads(text))
        return found.get("result") or {"structuredContent": found.get("error")}


class Day:
    """What happened, and whether it should have."""

    def __init__(self) -> None:
        self.wrong = 0
        self.seen: list[str] = []

    def chapter(self, title: str) -> None:
        """Begin another part."""
        print(f"\n{title}")

    def see(self, what: str, answer: Mapping[str, Json], expected: str) -> Mapping[str, Json]:
        """Print an answer and whether it has what is expected: a text in it, or a code."""
        text = json.dumps(answer, ensure_ascii=False)
        self.seen.append(text)
        good = expected in text and CANARY not in text
        self.wrong += not good
        shown = str(answer.get("message") or answer.get("rows") or text)
        print(f"  {'ok   ' if good else 'WRONG'} {what}: {shown[:150]}")
        if not good:
            print(f"        expected {expected} in {text}")
        return answer

    def check(self, what: str, good: bool) -> None:
        """Print whether something is so."""
        self.wrong += not good
        print(f"  {'ok   ' if good else 'WRONG'} {what}")

    def end(self) -> int:
        """Say how it went; return the exit code."""
        print(
            f"\n{f'{self.wrong} things were not as they should be' if self.wrong else 'everything was as it should be'}"
        )
        return 1 if self.wrong else 0
