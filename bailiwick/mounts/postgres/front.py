"""The PostgreSQL mounts of a gateway as one front: plans, targets and the listener, for the policy in force."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import GatewayConfig, PostgresListener
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.mounts.postgres.aside import Aside
from bailiwick.mounts.postgres.asking import Questions
from bailiwick.mounts.postgres.connection import Surroundings, Target
from bailiwick.mounts.postgres.keys import CancelKeys
from bailiwick.mounts.postgres.native import Depth
from bailiwick.mounts.postgres.planning import GONE, Planning, Plans
from bailiwick.mounts.postgres.server import Bounds, Server, serve_postgres
from bailiwick.mounts.postgres.translate import Unplanned
from bailiwick.mounts.postgres.upstream import read_url
from bailiwick.mounts.postgres.values import MaskPads
from bailiwick.sql.native.binding import session_key
from bailiwick.sql.plan import Plan
from bailiwick.sql.preview import DryRun, RowsQuery


class PostgresFront:
    """A `Front` of the gateway: one port for all mounts of kind `postgres`. It listens when the policy that the gateway
    starts with has one."""

    name = "postgres"

    def __init__(self, config: GatewayConfig, aside: Aside | None = None) -> None:
        self._config = config
        self._targets: dict[str, Target] = {}
        self._planning: Planning | None = None
        self._pads = MaskPads(b"", b"")
        self._mask = b""
        self._server: Server | None = None
        self._aside = aside or Aside(config.limits.parsers)
        self.questions = Questions()
        """The same mounts, for agents that ask through a tool."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients on this machine, or with its address, connect to; None when it does not listen."""
        if self._server is None:
            return None
        host = self._config.postgres.host
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), self._server.port  # noqa: S104  # read, not bound

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Listen. Raises ConfigError when the port, the certificate or a mount's url is at fault, BackendError when
        the process that analyses SQL cannot be started."""
        self._pads = MaskPads.of(keys.mask)
        self._mask = keys.mask
        self._check(ready)
        self.install(ready)
        if not self._targets:
            return
        await self._aside.start()
        listener, limits = self._config.postgres, self._config.limits
        self.questions.open(
            Surroundings(
                self._targets,
                gateway,
                self._known,
                self._pads,
                CancelKeys(),
                None,
                limits.login_time.total_seconds(),
                limits.statement_time.total_seconds(),
                limits.result,
                self,
            )
        )
        gateway.executions.executors.append(self.questions)
        gateway.executions.changers.append(self.questions)
        try:
            self._server = await serve_postgres(
                self._targets,
                gateway,
                self._known,
                mask_key=keys.mask,
                host=listener.host,
                port=listener.port,
                tls=_tls(listener),
                bounds=Bounds(
                    limits.connections,
                    login_timeout=limits.login_time.total_seconds(),
                    statement_timeout=limits.statement_time.total_seconds(),
                    largest_result=limits.result,
                ),
                analysis=self,
            )
        except (OSError, ConfigError) as error:
            await self._aside.close()
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                f"cannot listen on `{listener.host}:{listener.port}`: {(error.strerror or 'refused').lower()}",
                remedy="stop what listens there, or set `postgres: {port: …}` in gateway.yaml",
            ) from None

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
        self._check(ready)
        if self._server is None and any(mount.kind == "postgres" for mount in ready.force.policy.mounts.values()):
            message = (
                "the policy has its first mounts of kind `postgres`, and the gateway does not listen for PostgreSQL"
            )
            raise ConfigError(message, remedy="start the gateway anew")

    def _check(self, ready: Ready) -> None:
        _targets(ready, self._mask)
        for name, native in ready.natives.items():
            if not native.holds_keys_of(self._mask):
                raise ConfigError(
                    f"the database of mount `{name}` holds the keys of another gateway",
                    remedy="run `bailiwick postgres apply` beside this gateway's data directory",
                )

    def install(self, ready: Ready) -> None:
        """Serve another policy from now on."""
        targets = _targets(ready, self._mask)
        self._targets.clear()
        self._targets.update(targets)
        self._planning = Planning(ready, self._aside, self._config.limits)
        self.questions.install(ready)
        if self._server is not None:
            self._server.recheck()

    async def stop(self) -> None:
        """Take no more clients, let what is in flight end, cut the rest."""
        await self.questions.close()
        if self._server is not None:
            await self._server.close()
        await self._aside.close()

    # --- Analysis, under the policy of the moment ---

    def plan(self, unplanned: Unplanned, live: LiveSession, mount: str, done: Callable[[Plans], None]) -> None:
        """Make the plans of a text."""
        if self._planning is None:
            asyncio.get_running_loop().call_soon(done, (GONE,))
        else:
            self._planning.plan(unplanned, live, mount, done)

    async def dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        """Make the dry run of a plan."""
        return None if self._planning is None else await self._planning.dry_run(plan, live, mount)

    async def rows(self, plan: Plan, live: LiveSession, mount: str, count: int) -> RowsQuery | None:
        """Make the query for the rows of a dry run."""
        return None if self._planning is None else await self._planning.rows(plan, live, mount, count)

    def _known(self, text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> Plans | None:
        return (GONE,) if self._planning is None else self._planning.known(text, live, mount, declared)


def _targets(ready: Ready, mask_key: bytes) -> Mapping[str, Target]:
    targets: dict[str, Target] = {}
    for name, mount in ready.force.policy.mounts.items():
        if mount.kind != "postgres":
            continue
        native = ready.natives.get(name)
        depth = None if native is None else Depth(native.made, session_key(mask_key, name))
        targets[name] = Target(read_url(ready.urls[name].reveal()), mount.plaintext, depth)
    return targets


def _tls(listener: PostgresListener) -> ssl.SSLContext | None:
    if listener.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listener.tls_cert, listener.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"the TLS certificate or key cannot be used: {error.strerror or error}",
            remedy="check `postgres.tls_cert` and `postgres.tls_key`: PEM files that belong together",
        ) from None
    return context
