"""One client's sockets: the thin edge that carries out what `Startup` and `Frontend` decide."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, cast

from bailiwick.errors import BackendError, ProtocolError
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec, holding, upstream
from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.errors import denied, observed_notice, own_error
from bailiwick.mounts.postgres.frontend import Frontend
from bailiwick.mounts.postgres.holding import Database, Outcome
from bailiwick.mounts.postgres.keys import CancelKey, CancelKeys
from bailiwick.mounts.postgres.native import Depth
from bailiwick.mounts.postgres.planning import Analysis, Plans
from bailiwick.mounts.postgres.replies import meaning_of, reported_parameter
from bailiwick.mounts.postgres.startup import Cancel, Login, Refuse, Reply, StartTls, Startup, Step
from bailiwick.mounts.postgres.tls import ALPN, TlsPipe
from bailiwick.mounts.postgres.translate import Planner, Unplanned
from bailiwick.mounts.postgres.upstream import Address, Upstream, is_loopback
from bailiwick.mounts.postgres.values import MaskPads

_MEANT = frozenset({"datestyle", "intervalstyle", "timezone"})
_EARLY = 64 * 1024
"""Most that a client may send before it is told that it is in."""
_ROLE_SECONDS = 10.0
_CHANGED = Denial("backend_unavailable", "the policy has changed what this connection runs as", remedy="connect again")
_LINGER = 2.0
"""How long a closed client may take to read its last message."""


@dataclass(frozen=True, slots=True)
class Target:
    """One mount: where its database is, and whether clients beyond loopback may speak to it without TLS."""

    address: Address
    plaintext: bool = False
    depth: Depth | None = None
    """The native depth, where the mount says `enforce: both`: no connection runs without its role."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connections of one listener share."""

    targets: Mapping[str, Target]
    enforcer: Enforcer
    planner: Planner
    pads: MaskPads
    keys: CancelKeys
    tls: ssl.SSLContext | None
    login_timeout: float
    statement_timeout: float
    largest_result: int
    analysis: Analysis


class Register(Protocol):
    """The listener, as its connections see it."""

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        ...

    def identified(self, connection: Connection) -> bool:
        """The client has sent its password; it is not half-open any more. False: there are too many."""
        ...

    def closed(self, connection: Connection) -> None: ...


def utc_now() -> datetime:
    """Return the gateway's clock."""
    return datetime.now(UTC)


class Connection(asyncio.Protocol):
    """Moves bytes between a client, its `Frontend` and its own connection to the database."""

    def __init__(self, around: Surroundings, register: Register) -> None:
        self._around = around
        self._register = register
        self._transport: asyncio.Transport | None = None
        self._tls: TlsPipe | None = None
        self._direct_tls = False
        self._startup: Startup | None = None
        self._early = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._login: asyncio.Task[None] | None = None
        self._frontend: Frontend | None = None
        self._upstream: Upstream | None = None
        self._live: LiveSession | None = None
        self._mount = ""
        self._role = ""
        """The compiled role that the connection to the database runs as; empty: the gateway's own login."""
        self._key: CancelKey | None = None
        self._gone = False
        self._settings: dict[str, str] = {}
        self._holding: asyncio.Task[Outcome] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._client_wanted = self._client_writable = True
        self._server_wanted = self._server_writable = True

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport = transport
        around = self._around
        peer = self._peer()
        unencrypted = None
        if not is_loopback(peer):
            unencrypted = frozenset(name for name, target in around.targets.items() if target.plaintext)
        self._startup = Startup(tls=around.tls is not None, unencrypted=unencrypted)
        self._register.opened(self)
        _tune(transport)
        self._timer = asyncio.get_running_loop().call_later(around.login_timeout, self.abort)

    def data_received(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._decrypted(self._tls, data)
            if not data:
                return
        if self._frontend is not None:
            self._frontend.client_data(data)
        elif self._login is not None:
            self._early += data
            if len(self._early) > _EARLY:
                self.abort()
        else:
            self._starting(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._gone = True
        self._stop_timer()
        if self._holding is not None:
            self._holding.cancel()
        if self._frontend is not None:
            self._frontend.client_lost()
        if self._upstream is not None:
            self._upstream.close()
        if self._key is not None:
            self._around.keys.remove(self._key)
        if self._live is not None:
            self._around.enforcer.disconnect(self._live, self.cut, "")
            self._live = None
        self._register.closed(self)

    def pause_writing(self) -> None:
        self._client_writable = False
        self._read_server_if_due()

    def resume_writing(self) -> None:
        self._client_writable = True
        self._read_server_if_due()

    # --- what the frontend commands ---

    def send_client(self, data: bytes) -> None:
        """Send to the client."""
        if self._transport is not None:
            self._transport.write(data if self._tls is None else self._tls.send(data))

    def send_server(self, data: bytes) -> None:
        """Send to the database."""
        if self._upstream is not None:
            self._upstream.send(data)

    def read_client(self, on: bool) -> None:
        """Go on or stop to read from the client."""
        self._client_wanted = on
        self._read_client_if_due()

    def read_server(self, on: bool) -> None:
        """Go on or stop to read from the database."""
        self._server_wanted = on
        self._read_server_if_due()

    def cancel_server(self) -> None:
        """Cancel what the database runs; the frontend hears when the request has done what it may do."""
        self._cancel_upstream(self._cancelled)

    def plan(self, unplanned: Unplanned, number: int) -> None:
        """Have a text planned; the frontend hears of it by that number."""
        frontend, live = self._frontend, self._live
        if frontend is None or live is None:
            return

        def planned(plans: Plans) -> None:
            try:
                frontend.planned(number, plans)
            except BaseException:
                self.abort()  # nobody would ever wake it up again
                raise

        plan = self._around.analysis.plan
        failed = attempt("planning a statement", plan, unplanned, live, self._mount, planned)
        if failed is not None:
            asyncio.get_running_loop().call_soon(planned, (failed,))

    def hold(self, held: Held, patience: float | None) -> None:
        """Keep a statement for people; the frontend hears what comes of it."""
        target, live = self._around.targets.get(self._mount), self._live
        if target is None or live is None:
            return
        meant = {} if self._frontend is None else self._frontend.meant
        settings = {name: value for name, value in self._settings.items() if name.lower() not in _MEANT} | meant
        on = Database(target.address, settings, self._around.statement_timeout, target.depth, meant)
        task = asyncio.get_running_loop().create_task(holding.hold(held, on, live, self._around, patience))
        self._holding = task
        task.add_done_callback(self._held)

    def _held(self, task: asyncio.Task[Outcome]) -> None:
        self._holding = None
        if self._frontend is not None and task.cancelled():
            self._frontend.held(holding.CANCELLED)
        elif self._frontend is None or task.exception() is not None:
            self.abort()
        else:
            self._frontend.held(task.result())

    def alarm(self, seconds: float | None) -> None:
        """Wake the frontend up after so long."""
        self._stop_timer()
        if seconds is not None and self._frontend is not None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._frontend.alarmed)

    def close(self, cancel: bool) -> None:
        """Close both sides; what the database is running is cancelled first, so that it rolls back at once."""
        if cancel:
            self._cancel_upstream()
        if self._upstream is not None:
            self._upstream.close()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(_LINGER, self._transport.abort)

    # --- what the listener commands ---

    @property
    def busy(self) -> bool:
        """Whether a statement (or a login) is in flight."""
        if self._frontend is not None:
            return not (self._frontend.idle or self._frontend.closed)
        return self._login is not None and not self._login.done()

    def cut(self, denial: Denial) -> None:
        """End the connection now, telling the client why."""
        if self._frontend is not None:
            self._frontend.cut(denial)
        else:
            self._say_last(denied(denial, "", fatal=True, state="57P01"))

    def recheck(self) -> None:
        """End the connection when it runs under another depth than the policy in force has for its session."""
        target, live = self._around.targets.get(self._mount), self._live
        if target is not None and live is not None and self._frontend is not None:
            role = "" if target.depth is None else target.depth.role(live)
            if role != self._role:
                self.cut(_CHANGED)

    def abort(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    # --- start-up ---

    def _starting(self, data: bytes) -> None:
        if self._startup is not None and self._transport is not None and not self._transport.is_closing():
            for step in self._startup.feed(data):
                self._do(step)

    def _do(self, step: Step) -> None:
        if isinstance(step, Reply):
            self.send_client(step.data)
        elif isinstance(step, Refuse):
            self._say_last(step.data)
        elif isinstance(step, Cancel):
            self._around.keys.cancel(step.process, step.secret)
            self.close(False)
        elif isinstance(step, StartTls):
            self._start_tls(step)
        else:
            self._identified(step)

    def _identified(self, login: Login) -> None:
        self._stop_timer()
        if not self._register.identified(self):
            self._say_last(own_error("53300", "the gateway has too many connections: try again later", fatal=True))
            return
        if self._startup is not None:
            self._early += self._startup.rest()
        self._startup = None
        self._login = asyncio.get_running_loop().create_task(self._log_in(login))
        self._login.add_done_callback(self._logged_in)

    def _start_tls(self, step: StartTls) -> None:
        if self._around.tls is None or self._transport is None:
            return
        if step.data:
            self._transport.write(step.data)
        self._tls = TlsPipe(self._around.tls)
        self._direct_tls = step.direct
        if step.received:
            self.data_received(step.received)

    def _decrypted(self, tls: TlsPipe, data: bytes) -> bytes:
        transport = self._transport
        if transport is None:
            return b""
        ready = tls.ready
        try:
            data, out, closed = tls.received(data)
        except ProtocolError:
            self.abort()
            return b""
        if out:
            transport.write(out)
        if tls.ready and not ready:
            if self._direct_tls and tls.protocol != ALPN:
                self.abort()
                return b""
            if self._startup is not None:
                self._startup.encrypted = True
        if closed and not data:
            transport.close()
        return data

    async def _log_in(self, login: Login) -> None:
        around = self._around
        live = await around.enforcer.connect(login.mount, login.agent, login.token, self._peer(), self.cut)
        if isinstance(live, Denial):
            self._say_last(denied(live, "", fatal=True))
            return
        if self._gone:
            around.enforcer.disconnect(live, self.cut, "the client was gone")
            return
        self._live = live
        self._mount = login.mount
        target = around.targets.get(login.mount)
        if target is None:
            self._say_last(own_error("3D000", "there is no such mount", fatal=True))
            return
        try:
            limit = {"statement_timeout": f"{int(around.statement_timeout * 1000)}ms"}
            server = await upstream.connect(target.address, {**login.settings, **limit})
            if target.depth is not None:
                self._role = await taken(target.depth, server, live)
        except (BackendError, TimeoutError) as error:
            text = error.message if isinstance(error, BackendError) else "the database does not answer"
            self._say_last(own_error("08006", text, fatal=True))
            return
        if self._gone or self._transport is None or self._transport.is_closing():
            server.close()
            return
        self._open(live, server, login)
        self.recheck()

    def _open(self, live: LiveSession, server: Upstream, login: Login) -> None:
        around = self._around
        self._upstream = server
        self._settings = login.settings
        frontend = Frontend(
            self,
            live,
            login.mount,
            around.planner,
            around.enforcer,
            around.pads,
            utc_now,
            time.perf_counter,
            around.largest_result,
        )
        self._frontend = frontend
        server.receiver = frontend.server_data
        server.lost = frontend.server_lost
        server.writable = self._server_is_writable
        self._key = around.keys.add(login.version, self._cancel_running)
        frontend.meant.update(meaning_of(server.parameters))
        reported = b"".join(reported_parameter(raw, live.session.agent) for raw in server.parameters)
        if login.mount in live.scope.observed:
            reported += observed_notice()
        ready = codec.message(b"Z", b"I")
        self.send_client(codec.AUTHENTICATION_OK + reported + self._key.backend_key_data() + ready)
        if self._early:
            early = bytes(self._early)
            self._early.clear()
            frontend.client_data(early)

    def _logged_in(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.abort()

    # --- the rest ---

    def _cancel_running(self) -> None:
        if self._holding is not None and self._frontend is not None and self._frontend.waiting:
            self._holding.cancel()
        elif self._frontend is not None and self._frontend.running:
            self._cancel_upstream()
        elif self._frontend is not None:
            self._frontend.stop_planning()

    def _cancelled(self) -> None:
        if self._frontend is not None:
            self._frontend.cancelled()

    def _cancel_upstream(self, done: Callable[[], None] | None = None) -> None:
        server, target = self._upstream, self._around.targets.get(self._mount)
        if server is not None and server.key is not None and target is not None:
            task = asyncio.get_running_loop().create_task(upstream.cancel(target.address, server.key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if done is not None:
                task.add_done_callback(lambda _: done())
        elif done is not None:
            asyncio.get_running_loop().call_soon(done)

    def _server_is_writable(self, on: bool) -> None:
        self._server_writable = on
        self._read_client_if_due()

    def _read_server_if_due(self) -> None:
        if self._upstream is not None:
            self._upstream.read(self._server_wanted and self._client_writable)

    def _read_client_if_due(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            if self._client_wanted and self._server_writable:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _say_last(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.send_client(data)
            self.close(False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _peer(self) -> str:
        if self._transport is None:
            return ""
        name: tuple[str, int] | str | None = self._transport.get_extra_info("peername")
        return name[0] if isinstance(name, tuple) else "localhost"


async def taken(depth: Depth, server: Upstream, live: LiveSession) -> str:
    """Have the connection take its session's role; close it when that fails."""
    try:
        async with asyncio.timeout(_ROLE_SECONDS):
            return await depth.take(server, live)
    except BaseException:
        server.close()
        raise


def _tune(transport: asyncio.Transport) -> None:
    """Answer small messages at once, and notice peers that have vanished."""
    found = transport.get_extra_info("socket")
    if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
