"""What-if: `bailiwick explain` over the policy in force, in a process of its own.

What somebody types here may be any SQL: it is read where it can take nothing with it, without credentials and without
an environment, for a bounded time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bailiwick.errors import BackendError
from bailiwick.gateway.policies.archive import Archived
from bailiwick.gateway.wire import Json

_patience = 30.0
longest = 20_000
_at_once = asyncio.Semaphore(2)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question: who, in which task, for whom, with which values, wants what."""

    what: str
    agent: str
    task: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    tenant: str = ""
    values: tuple[str, ...] = ()
    """`NAME=VALUE` each."""
    mount: str = ""
    arguments: str = ""

    @property
    def options(self) -> list[str]:
        """Return it as the command line takes it: no value can be taken for another option."""
        found = [f"--agent={self.agent}"]
        for name, value in (("task", self.task), ("user", self.user), ("tenant", self.tenant), ("mount", self.mount)):
            found += [f"--{name}={value}"] if value else []
        found += [f"--group={each}" for each in self.groups]
        found += [f"--set={each}" for each in self.values]
        return [*found, f"--args={self.arguments}"] if self.arguments else found


@dataclass(frozen=True, slots=True)
class Told:
    """What would be decided, one part for each statement; or why there is no answer."""

    parts: Sequence[Mapping[str, Json]] = ()
    problem: str = ""


async def explain(asked: Asked, policy: Archived) -> Told:
    """Return what the gateway would decide. Raises BackendError when nobody answers in time."""
    async with _at_once:
        with tempfile.TemporaryDirectory(prefix="bailiwick-") as made:
            folder = Path(made)
            for name, text in policy.files.items():
                (folder / Path(name).name).write_text(text, encoding="utf-8")
            if policy.lock is not None:
                (folder / "bailiwick.lock").write_text(policy.lock, encoding="utf-8")
            return await _run([*asked.options, f"--policy={folder}", "--json", "--", asked.what], folder)


async def _run(options: Sequence[str], folder: Path) -> Told:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-m", "bailiwick.cli.main", "explain", *options),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, wrong = await asyncio.wait_for(process.communicate(), _patience)
    except TimeoutError:
        raise BackendError("the explanation takes too long", remedy="ask for something smaller") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        found = cast("object", json.loads(out))
    except ValueError:
        text = wrong.decode("utf-8", "replace").strip().removeprefix("error: ")
        return Told(problem=text.replace(str(folder) + "/", "")[-1000:] or "there is no answer to that")
    parts = cast("list[object]", found) if isinstance(found, list) else []
    return Told([cast("Mapping[str, Json]", each) for each in parts if isinstance(each, dict)])
