"""Reloading: a changed policy is put in force if it is right; if not, the old one stays, and both are said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bailiwick.errors import BailiwickError
from bailiwick.gateway.policies.promotion import Promotion
from bailiwick.gateway.policies.ready import PolicyRefusedError, Ready, Written, fingerprint
from bailiwick.gateway.policies.text import PolicyTexts
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.model.approval import Reviewer
from bailiwick.policy.diff import Change

_log = logging.getLogger("bailiwick.policy")
_poll_seconds = 0.5
_FILES = "its files"


class Reloader:
    """Watches the policy's files. A change counts once two looks in a row have seen the same text."""

    def __init__(
        self,
        path: Path,
        prepare: Callable[[Written | None], Awaitable[Ready]],
        install: Callable[[Ready], None],
        recorder: Recorder,
        promotion: Promotion,
        in_force: Callable[[], Ready],
        texts: PolicyTexts,
    ) -> None:
        """`prepare` makes the policy ready that stands in its files, or the one that is given."""
        self.promotion = promotion
        self._texts = texts
        self._in_force = in_force
        self._path = path
        self._prepare = prepare
        self._install = install
        self._recorder = recorder
        self._asked = asyncio.Event()
        self._busy = asyncio.Lock()
        self._tried = _look(path)
        """Fingerprint of what was tried last, right or wrong."""

    def ask(self) -> None:
        """Reload soon, changed or not: for SIGHUP."""
        self._asked.set()

    async def reload(self, by: str = _FILES) -> BailiwickError | None:
        """Reload now, for somebody. Return why the new policy was refused, or None when it is in force."""
        async with self._busy:
            self._tried = await asyncio.to_thread(_look, self._path)
            return await self._try(by)

    async def _try(self, by: str) -> BailiwickError | None:
        try:
            ready = await self._prepare(None)
        except BailiwickError as error:
            await self._refused(error)
            return error
        if await self.promotion.admits(ready, self._in_force(), "" if by == _FILES else by):
            await self._loaded(ready, by)
        return None

    async def _reload_changed(self) -> None:
        """Reload, unless what stands there was tried while this waited for its turn."""
        async with self._busy:
            now = await asyncio.to_thread(_look, self._path)
            if now != self._tried:
                self._tried = now
                await self._try(_FILES)

    async def promote(self, identity: str, by: Reviewer) -> Sequence[Change]:
        """Put the policy in force that waits for it; return what that changes. Raises BailiwickError."""
        async with self._busy:
            ready, changes = await self.promotion.promote(identity, by, self._prepare)
            await self._loaded(ready, by.name)
            return changes

    async def _loaded(self, ready: Ready, by: str) -> None:
        policy = ready.force.policy
        await self._texts.keep(ready)
        await self._recorder.keep(self._recorder.make(Fact("policy.loaded", policy=policy.version, detail={"by": by})))
        self._install(ready)
        _log.info("policy loaded: %s", policy.version)

    async def watch(self) -> None:
        """Reload what changes, until cancelled."""
        seen = self._tried
        while True:
            asked = await self._pause()
            now = await asyncio.to_thread(_look, self._path)
            settled, seen = now == seen, now
            if asked:
                await self._attempt(self.reload())
            elif settled and now != self._tried:
                await self._attempt(self._reload_changed())

    async def _attempt(self, reloading: Awaitable[object]) -> None:
        try:
            await reloading
        except BailiwickError as error:  # the ledger's: then nothing was put in force
            _log.error("the policy was not reloaded: %s", error.message)

    async def _pause(self) -> bool:
        """Wait for the next look; tell whether somebody asked."""
        try:
            await asyncio.wait_for(self._asked.wait(), _poll_seconds)
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _refused(self, error: BailiwickError) -> None:
        reasons = [str(each) for each in error.problems] if isinstance(error, PolicyRefusedError) else [error.message]
        for reason in reasons:
            _log.error("policy refused, the old one stays in force: %s", reason)
        fact = Fact("policy.refused", error.code, error.message, detail={"problems": [*reasons[:100]]})
        await self._recorder.keep(self._recorder.make(fact))


def _look(path: Path) -> str:
    """Return the fingerprint, or what kept it from being taken: a file that vanished is a change too."""
    try:
        return fingerprint(path)
    except BailiwickError as error:
        return error.message
