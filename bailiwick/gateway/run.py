"""Running: composes the gateway of one policy, starts it, and stops it so that nothing is lost.

Mounts are above this layer: they are given as `Front`s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import bailiwick
from bailiwick.gateway.admin import AdminServer
from bailiwick.gateway.approvals.desk import ApprovalDesk
from bailiwick.gateway.approvals.modifying import call_modifier, statement_modifier
from bailiwick.gateway.approvals.notices import approval_notice
from bailiwick.gateway.backends.backends import Lookups, read_catalogue
from bailiwick.gateway.config import GatewayConfig, policy_folder
from bailiwick.gateway.desk import Answer, Desk
from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.findings.desk import finding
from bailiwick.gateway.findings.watching import Watching
from bailiwick.gateway.keys import Keys, load_keys, make_data_dir
from bailiwick.gateway.ledger.desk import Keeping
from bailiwick.gateway.ledger.searches import Searches
from bailiwick.gateway.ledger.signing import Custody, load_ledger_keys, publish
from bailiwick.gateway.ledger.store import open_store
from bailiwick.gateway.ledger.writer import LedgerWriter
from bailiwick.gateway.limits.counting import Counting
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.notices.desk import noticing
from bailiwick.gateway.notices.notices import Notices, Way
from bailiwick.gateway.notices.sending import sender_of
from bailiwick.gateway.notices.store import Outbox
from bailiwick.gateway.people import People
from bailiwick.gateway.policies.archive import Archived, PolicyArchive
from bailiwick.gateway.policies.promotion import Promotion, Rules, at_start
from bailiwick.gateway.policies.promotion_desk import promoting
from bailiwick.gateway.policies.ready import Ready, Written, make_ready
from bailiwick.gateway.policies.reload import Reloader
from bailiwick.gateway.policies.text import PolicyTexts
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sessions.opening import Opener
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.suspending import suspension_notice
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.gateway.sessions.underway import Underway
from bailiwick.gateway.sinks.desk import sinking
from bailiwick.gateway.sinks.sinks import Sinks
from bailiwick.gateway.sinks.ways import Outlet, outlets
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.approval import Approval

_log = logging.getLogger("bailiwick.gateway")


@runtime_checkable
class Answering(Protocol):
    """A front that is asked through the gateway's desk, and does not listen by itself."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it, by the names of the requests."""
        ...


@runtime_checkable
class Linked(Protocol):
    """A front that clients reach by a URL."""

    @property
    def url(self) -> str:
        """The URL; empty while it does not listen."""
        ...


@runtime_checkable
class Controlling(Protocol):
    """A front for those who run the gateway and for clients that ask for tokens: it listens once there is a desk."""

    async def open(self, running: Running, environ: Mapping[str, str]) -> None:
        """Begin to listen. Raises ConfigError when it cannot."""
        ...


class Front(Protocol):
    """Where agents connect: the mounts of one kind."""

    @property
    def name(self) -> str:
        """The kind of its mounts, e.g. `postgres`."""
        ...

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients connect to; known after `start`. None: agents reach it through another front."""
        ...

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Begin to listen. Raises ConfigError when it cannot."""
        ...

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        ...

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        ...

    async def stop(self) -> None:
        """Take no more clients, let what is in flight end, cut the rest."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """What a gateway keeps open."""

    state: State
    ledger: LedgerWriter
    recorder: Recorder
    underway: Underway
    custody: Custody
    people: People


class Running:
    """A gateway that runs: made by `start`, ended by `stop`."""

    def __init__(
        self,
        path: Path,
        config: GatewayConfig,
        stores: Stores,
        keys: Keys,
        ready: Ready,
        ways: Sequence[Way],
        promotion: Promotion,
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self.promotion = promotion
        self.path = path
        self.config = config
        self.ready = ready
        self.fronts: Sequence[Front] = ()
        self.keys = keys
        self.stores = stores
        ulids = Ulids()
        self.tokens = tokens = Tokens(keys.signing, config.issuer)
        self.sessions = Sessions(stores.state, stores.recorder, utc_now, ready.force)
        self.sessions.people = stores.people
        lookups = Lookups(lambda mount: self.ready.force.policy.mounts[mount], lambda mount: self.ready.urls[mount])
        self.opener = Opener(self.sessions, tokens, lookups, config.sessions, ulids)
        self._counting = Counting(stores.state, config.limit_store)
        self.gateway = Gateway(tokens, self.sessions, stores.recorder, utc_now, stores.underway, self._counting.store)
        self.gateway.approvals.local = config.local_approvers
        self.approval_desk = ApprovalDesk(self.gateway.approvals)
        self.approval_desk.modifiers["call"] = call_modifier(self.gateway, self.sessions)
        self.approval_desk.modifiers["statement"] = statement_modifier(self.gateway, self.sessions)
        self.notices = Notices(Outbox(stores.state), ways, utc_now, stores.recorder, self._console)
        self.gateway.approvals.listeners.append(self._tell_of)
        self.gateway.tell = self.notices.tell
        self.sessions.suspensions.told = lambda found, made: self.notices.tell(suspension_notice(found, made=made))
        self.elevation_desk = ElevationDesk(self.gateway.elevations)
        self.sinks = Sinks(outlets, config.ledger, stores.state, stores.recorder, utc_now)
        self.searches = Searches(
            [*config.searches.values()], config.ledger, stores.recorder, self.notices.tell, utc_now
        )
        self.watching = Watching(
            config.ledger, stores.state, stores.recorder, self.notices.tell, utc_now, config.findings
        )
        self.keeping = Keeping(
            stores.custody,
            stores.recorder,
            utc_now,
            self.sessions,
            stores.people,
            config.ledger,
            self.sinks.undelivered,
        )
        self.archive = PolicyArchive(config.data_dir / "policies")
        self.reloader: Reloader | None = None
        self.desk: Desk | None = None
        """Who answers those who run it; there is one once it has started."""
        self._admin: AdminServer | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, environ: Mapping[str, str], fronts: Sequence[Front]) -> None:
        """Record the start, take up sessions, listen."""
        recorder = self.stores.recorder
        detail = {"version": bailiwick.__version__, "environment": self.config.environment}
        fact = Fact("gateway.started", policy=self.ready.force.policy.version, detail=detail)
        await recorder.keep(recorder.make(fact))
        texts = PolicyTexts(self.config.ledger, recorder)
        await texts.keep(self.ready)
        self._keep(self.ready)
        await self._counting.start()
        await self.sessions.start()
        await self.gateway.approvals.start()
        await self.gateway.elevations.start()
        await self.notices.start()
        await self.sinks.start()
        await self.keeping.start()  # what it prunes at once depends on where the sinks are
        await self.searches.start()
        await self.watching.start()

        async def prepare(written: Written | None) -> Ready:
            may = self.config.observing
            ready = await make_ready(self.path, environ, read_catalogue, written, observing=may)
            for front in self.fronts:
                front.check(ready)
            return ready

        self.promotion.told_by(self.notices.tell)
        self.reloader = Reloader(self.path, prepare, self._install, recorder, self.promotion, lambda: self.ready, texts)
        for front in fronts:
            await front.start(self.gateway, self.keys, self.ready)
            self.fronts = (*self.fronts, front)
            if front.address is not None:
                _log.info("%s clients connect to %s:%d", front.name, *front.address)
        more = {do: answer for front in fronts if isinstance(front, Answering) for do, answer in front.answers.items()}
        more |= self.approval_desk.answers()
        more |= noticing(self.notices)
        more |= promoting(self.reloader)
        more |= sinking(self.sinks)
        more |= finding(self.watching)
        more |= self.elevation_desk.answers()
        more |= self.keeping.answers()
        budgets = self.gateway.limits.told
        self.desk = Desk(self.sessions, self.opener, self.reloader, self._places, more, budgets, self.sinks.told)
        for front in fronts:
            if isinstance(front, Controlling):
                await front.open(self, environ)
                if front.address is not None:
                    _log.info("%s clients connect to %s:%d", front.name, *front.address)
        await self.gateway.executions.start()
        sees = self.config.console.clearance["administrator"]  # as somebody who comes in by a link
        self._admin = AdminServer(self.config.admin_socket, self.desk.answer, sees)
        await self._admin.start()  # last: whoever is answered finds everything there
        self._watching = asyncio.create_task(self.reloader.watch())
        self._watching.add_done_callback(_watch_ended)

    async def stop(self) -> None:
        """End what runs, in the order in which nothing is lost; the stop itself is the last record."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._admin is not None:
            await self._admin.stop()
        await self.gateway.executions.stop()
        for front in self.fronts:
            await front.stop()
        await self.gateway.elevations.stop()
        await self.gateway.approvals.stop()
        await self.sessions.stop()
        await self._counting.stop()
        await self.searches.stop()
        await self.notices.stop()
        await self.keeping.stop()
        await self.watching.stop()
        await self.sinks.stop()
        recorder = self.stores.recorder
        await recorder.keep(recorder.make(Fact("gateway.stopped", policy=self.ready.force.policy.version)))

    def addresses(self) -> Mapping[str, tuple[str, int]]:
        """Return where clients connect, by the name of the front."""
        return {front.name: front.address for front in self.fronts if front.address is not None}

    def _tell_of(self, approval: Approval) -> None:
        notice = approval_notice(approval)
        if notice is not None:
            self.notices.tell(notice)

    def _places(self) -> Mapping[str, Mapping[str, str | int]]:
        """Return what clients have to know of where they connect, by the name of the front."""
        found: dict[str, Mapping[str, str | int]] = {}
        for front in self.fronts:
            if front.address is not None:
                url = front.url if isinstance(front, Linked) else ""
                host, port = front.address
                found[front.name] = {"host": host, "port": port, **({"url": url} if url else {})}
        return found

    def _console(self) -> str:
        """Return the URL that links for people begin with; empty without an API."""
        return str(self._places().get("api", {}).get("url", ""))

    def _keep(self, ready: Ready) -> None:
        """Keep a policy as it is written, for those who ask later what was in force."""
        written = ready.written
        if written.files:
            named = {Path(name).name: text for name, text in written.files.items()}
            self.archive.keep(Archived(ready.force.policy.version, utc_now(), named, written.lock))

    def _install(self, ready: Ready) -> None:
        """Put a policy in force everywhere, in one turn of the event loop."""
        self.ready = ready
        self._keep(ready)
        self.sessions.reload(ready.force)
        for front in self.fronts:
            front.install(ready)


def _watch_ended(task: asyncio.Task[None]) -> None:
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        _log.error("the policy's files are not watched any more: %s", type(failure).__name__)


@contextlib.asynccontextmanager
async def running(
    path: Path, config: GatewayConfig, environ: Mapping[str, str], fronts: Sequence[Front]
) -> AsyncGenerator[Running]:
    """Run the gateway of the policy at `path` while the context lasts.

    Raises before anything listens: PolicyError, ConfigError, BackendError, LedgerError.
    """

    def prepare(written: Written | None = None) -> Coroutine[None, None, Ready]:
        return make_ready(path, environ, read_catalogue, written, observing=config.observing)

    ready = await prepare()
    base = policy_folder(path)
    ways = [Way(each, sender_of(each, environ, base)) for each in config.notify.values()]
    delivered = outlets(config.sinks, environ, base, lambda: store.origin)
    make_data_dir(config.data_dir)
    keys = load_keys(config.data_dir)
    ledger_keys = load_ledger_keys(config.data_dir, keys.signing)
    store = await asyncio.to_thread(open_store, config.ledger, *ledger_keys.signing)
    publish(config.data_dir, ledger_keys, store.origin)
    underway = Underway()
    ledger = LedgerWriter(store, asyncio.get_running_loop(), expects=underway.expects)
    custody = Custody(config.data_dir, ledger_keys, ledger, store.origin)
    try:
        state = await open_state(config.state_file)
        people = People(config.data_dir / "people.db")
        try:
            stores = Stores(state, ledger, Recorder(ledger, utc_now, Ulids()), underway, custody, people)
            rules = Rules(config.environment == "production", config.four_eyes)
            promotion = Promotion(state, stores.recorder, utc_now, rules)
            ready = await at_start(promotion, ready, prepare)
            gateway = Running(path, config, stores, keys, ready, ways, promotion, delivered)
            try:
                await gateway.start(environ, fronts)
                yield gateway
            finally:
                await gateway.stop()
        finally:
            people.close()
            await state.close()
    finally:
        await ledger.close()


async def run_until_told(
    path: Path,
    config: GatewayConfig,
    environ: Mapping[str, str],
    fronts: Sequence[Front],
    started: Callable[[Running], None],
) -> None:
    """Run until SIGTERM or SIGINT; SIGHUP reloads the policy. `started` is called once everything listens."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    async with running(path, config, environ, fronts) as gateway:
        if gateway.reloader is not None:
            loop.add_signal_handler(signal.SIGHUP, gateway.reloader.ask)
        started(gateway)
        await told.wait()
        _log.info("stopping")
