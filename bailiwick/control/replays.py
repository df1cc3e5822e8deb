"""What the API answers by replaying the ledger: the plan of a policy, drafts of the smallest one. See `replaying`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from typing import cast

from bailiwick.control.policies import loaded, sent
from bailiwick.control.web import Json, Reply, problem
from bailiwick.errors import ConfigError
from bailiwick.gateway.ledger.address import written
from bailiwick.gateway.policies.archive import PolicyArchive
from bailiwick.gateway.run import Running
from bailiwick.gateway.wire import Fields
from bailiwick.gateway.wire import Json as WireJson
from bailiwick.model.label import Level

_PATIENCE = 50.0
"""Seconds that one may take: who asks waits no longer."""
_LARGEST = 32 * 1024 * 1024


class Replays:
    """Answers one request at a time; others are told to come back."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._busy = False

    async def plan(self, given: Mapping[str, WireJson], clearance: Level) -> Reply:
        """Return what another policy would have changed."""
        fields = Fields(given)
        files, lock = sent(fields)
        policy, problems, _ = await asyncio.to_thread(loaded, files, lock)
        if policy is None:
            return problem(409, "policy", f"it is no valid policy: {problems[0]}", "see `/api/v1/policy/check`")
        asked: dict[str, Json] = {"work": "plan", "files": {**files}, "lock": lock}
        return await self._apart({**asked, "since": fields.maybe_text("since")}, clearance)

    async def learn(self, given: Mapping[str, WireJson], clearance: Level) -> Reply:
        """Return drafts of the smallest policy for some agents, beside the mounts of the policy in force."""
        fields = Fields(given)
        running = self._running
        found = PolicyArchive(running.config.data_dir / "policies").find(running.sessions.force.policy.version)
        if found is None:
            raise ConfigError("the text of the policy in force is not kept", remedy="reload it, then try again")
        agents: list[Json] = [*fields.texts("agents")]
        unknown = [each for each in agents if each not in running.sessions.force.policy.agents]
        if unknown or not agents:
            raise ConfigError("an agent is named that the policy in force does not have", remedy="see its `agents`")
        asked: dict[str, Json] = {"work": "learn", "files": dict(found.files), "lock": found.lock}
        return await self._apart({**asked, "agents": agents, "since": fields.maybe_text("since")}, clearance)

    async def _apart(self, asked: Mapping[str, Json], clearance: Level) -> Reply:
        if self._busy:
            return problem(503, "busy", "the ledger is being replayed for somebody else", "try again")
        config = self._running.config
        place = {"ledger": written(config.ledger), "folder": str(config.data_dir.absolute()), "clearance": clearance}
        self._busy = True
        try:
            line = await asyncio.wait_for(self._process({**asked, **place}), _PATIENCE)
        except TimeoutError:
            return problem(409, "ledger", "there is too much to be replayed", "ask from a later moment: `since`")
        finally:
            self._busy = False
        told = cast("Mapping[str, Json]", json.loads(line)) if line else {"failed": "the work broke off"}
        if "failed" in told:
            return problem(409, str(told.get("code", "ledger")), str(told["failed"]), str(told.get("remedy") or ""))
        return Reply(200, told)

    async def _process(self, asked: Mapping[str, Json]) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "bailiwick.control.replaying"),
            cwd=self._running.config.data_dir,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LARGEST,
        )
        try:
            if process.stdin is None or process.stdout is None:
                return b""
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            with contextlib.suppress(ConnectionError):
                await process.stdin.drain()
            return await process.stdout.readline()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
