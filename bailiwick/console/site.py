"""The console as a whole: composed when the gateway has a desk, served on the port of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import bailiwick
from bailiwick.console import static_files
from bailiwick.console.access import ROOT, Doors
from bailiwick.console.counting import Counting
from bailiwick.console.links import Links
from bailiwick.console.logins import Logins
from bailiwick.console.oidc import Oidc
from bailiwick.console.pages.approvals import ApprovalPages
from bailiwick.console.pages.elevations import ElevationPages
from bailiwick.console.pages.ledger import LedgerPages
from bailiwick.console.pages.login import LoginPages
from bailiwick.console.pages.matrix import MatrixPages
from bailiwick.console.pages.now import Now
from bailiwick.console.pages.policy import PolicyPages
from bailiwick.console.pages.reviews import ReviewPages
from bailiwick.console.pages.sessions import SessionPages
from bailiwick.console.pages.stop import StopPages
from bailiwick.console.parts import Parts
from bailiwick.console.policies import Policies
from bailiwick.console.rendering import Renderer
from bailiwick.control.front import Ground
from bailiwick.control.web import Asked, Reply, Routes
from bailiwick.errors import ConfigError
from bailiwick.gateway.config import policy_folder
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.policies.archive import PolicyArchive
from bailiwick.gateway.sessions.logins import LoginStore
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.policy.observed import observed_in_words


class Console:
    """Pages for `ControlFront`."""

    def __init__(self) -> None:
        self._links: Links | None = None
        self._ground: Ground | None = None
        self._parts: Parts | None = None
        self._policies: Policies | None = None
        self._keeping: asyncio.Task[object] | None = None

    def routes(self, ground: Ground) -> Routes:
        """Compose the pages over what they stand on, and return who answers which path."""
        running, config = ground.running, ground.running.config
        if not config.console.serve:
            return {}
        self._ground = ground
        clock = running.sessions.clock
        logins = Logins(LoginStore(running.stores.state), running.stores.recorder, clock, config.console)
        renderer = Renderer(bailiwick.__version__, config.environment)
        doors = Doors(
            logins,
            renderer,
            ground.url,
            lambda: running.sessions.suspensions.everything,
            lambda: observed_in_words(running.sessions.force.policy),
        )
        oidc = Oidc(ground.issuers, ground.environ, policy_folder(running.path), clock)
        self._links = Links(clock) if config.console.links else None
        counting = Counting(config.ledger, clock)
        parts = Parts(doors, lambda: running.desk, config.ledger, clock, running.sessions, counting)
        self._parts = parts
        archive = PolicyArchive(config.data_dir / "policies")
        self._policies = policies = Policies(running.path, archive, running.sessions, clock)
        ledger = LedgerPages(parts, running.stores.custody.verifiers)
        self.install()
        return {
            **static_files.routes(),
            **LoginPages(doors, oidc, self._links).routes(),
            **Now(parts).routes(),
            **ApprovalPages(parts, oidc, running.approval_desk.modifiers).routes(),
            **ElevationPages(parts).routes(),
            **ReviewPages(parts).routes(),
            **SessionPages(parts).routes(),
            **StopPages(parts).routes(),
            **MatrixPages(parts, policies).routes(),
            **PolicyPages(parts, policies).routes(),
            **ledger.routes(),
            ROOT + "/": {"GET": _first},
            "/": {"GET": _first},
        }

    def install(self) -> None:
        """Another policy is in force: it is kept for those who ask what changed."""
        if self._policies is not None:
            self._keeping = asyncio.create_task(self._policies.current())

    async def stop(self) -> None:
        """End what is live."""
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._parts is not None:
            self._parts.streams.ended.set()
            await self._parts.counting.stop()

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it at the desk."""
        return {"console.link": self._link}

    async def _link(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        fields.done()
        if by.means != "local":
            raise ConfigError(
                "links are made on the gateway's own machine", remedy="run `bailiwick console link` there"
            )
        return {"url": self.link(by.name)}

    def link(self, name: str) -> str:
        """Return a new one-time link for who runs the gateway. Raises ConfigError when there can be none."""
        ground = self._ground
        if ground is None or not ground.url():
            raise ConfigError("there is no console", remedy="start `bailiwick serve --console`, or set `api.port`")
        if self._links is None:
            raise ConfigError("one-time links are switched off", remedy="see `console.links` in gateway.yaml")
        return f"{ground.here()}{ROOT}/login/link?token={self._links.make(name)}"


async def _first(asked: Asked) -> Reply:
    del asked
    return Reply(303, headers=(("location", ROOT),))
