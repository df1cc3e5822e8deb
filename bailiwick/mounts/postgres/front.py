"""The PostgreSQL mounts of a gateway as one front: plans, targets and the listener, for the policy in force."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import Ceilings, GatewayConfig, PostgresListener
from bailiwick.gateway.enforce import Gateway, LiveSession
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.ready import Ready
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres.codec import NULL_VALUE
from bailiwick.mounts.postgres.connection import Target
from bailiwick.mounts.postgres.native import Depth
from bailiwick.mounts.postgres.server import Bounds, Server, serve_postgres
from bailiwick.mounts.postgres.upstream import read_url
from bailiwick.mounts.postgres.values import MaskPads, bound_values
from bailiwick.sql.native.binding import session_key
from bailiwick.sql.parameters import Inline
from bailiwick.sql.plan import Bound, Plan
from bailiwick.sql.preview import DryRun
from bailiwick.sql.quote import text as quoted
from bailiwick.sql.rewrite import Rewriter

Plans = tuple[Plan | Denial, ...]
_most_rewriters = 256
_most_texts = 4096
_longest_text = 8192
_gone = Denial("resource_unknown", "this mount is not in the policy any more", remedy="ask for a new session")


class Planning:
    """Plans of texts under one policy in force: what was planned for a scope is kept for its other sessions."""

    def __init__(self, ready: Ready, pads: MaskPads, limits: Ceilings) -> None:
        self._ready = ready
        self._pads = pads
        self._limits = limits
        self._rewriters: OrderedDict[tuple[str, str], Rewriter] = OrderedDict()
        self._kept: OrderedDict[tuple[str, str, str, tuple[int, ...]], Plans] = OrderedDict()

    def plan(self, text: str, live: LiveSession, mount: str, declared: tuple[int, ...]) -> Plans:
        """Return a plan or a denial for each statement of the text."""
        scope = live.scope
        key = (scope.id, mount, text, declared)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        rewriter = self._rewriter(live, mount)
        if rewriter is None:
            return (_gone,)
        plans = rewriter.rewrite(text, self._inline(live), declared)
        if len(text) <= _longest_text and all(isinstance(each, Denial) or each.cacheable for each in plans):
            self._kept[key] = plans
            if len(self._kept) > _most_texts:
                self._kept.popitem(last=False)
        return plans

    def dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        """Return what a dry run of a plan executes; None when its mount is gone."""
        rewriter = self._rewriter(live, mount)
        return None if rewriter is None else rewriter.dry_run(plan)

    def _rewriter(self, live: LiveSession, mount: str) -> Rewriter | None:
        key = (live.scope.id, mount)
        found = self._rewriters.get(key)
        policy_mount = self._ready.force.policy.mounts.get(mount)
        if found is None and policy_mount is not None:
            catalogue = self._ready.catalogues[mount]
            native = self._ready.natives.get(mount)
            schemas = None if native is None else native.made.schemas_of(live.scope)
            limits = self._limits
            longest = int(limits.statement_time.total_seconds() * 1000)
            functions = policy_mount.functions
            found = Rewriter(live.scope, catalogue, mount, functions, limits.statement, schemas, longest)
            self._rewriters[key] = found
            if len(self._rewriters) > _most_rewriters:
                self._rewriters.popitem(last=False)
        return found

    def _inline(self, live: LiveSession) -> Inline:
        """Return what gives literals where a statement can take no parameters: quoted as the server's input reads."""

        def literal(bound: Bound) -> str:
            sized = bound_values((bound,), live.session, self._pads, datetime.now(UTC))
            if sized == NULL_VALUE:
                return f"NULL::{bound.type}"
            return f"{quoted(sized[4:].decode())}::{bound.type}"  # behind the four bytes of its length

        return literal


class PostgresFront:
    """A `Front` of the gateway: one port for all mounts of kind `postgres`."""

    name = "postgres"

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._targets: dict[str, Target] = {}
        self._planning: Planning | None = None
        self._pads = MaskPads(b"", b"")
        self._mask = b""
        self._server: Server | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that clients on this machine, or with its address, connect to."""
        host = self._config.postgres.host
        port = self._config.postgres.port if self._server is None else self._server.port
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104  # read, not bound

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Listen. Raises ConfigError when the port, the certificate or a mount's url is at fault."""
        self._pads = MaskPads.of(keys.mask)
        self._mask = keys.mask
        self.check(ready)
        self.install(ready)
        listener, limits = self._config.postgres, self._config.limits
        try:
            self._server = await serve_postgres(
                self._targets,
                gateway,
                self._plan,
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
                dry_runs=self._dry_run,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on `{listener.host}:{listener.port}`: {(error.strerror or 'refused').lower()}",
                remedy="stop what listens there, or set `postgres: {port: …}` in gateway.yaml",
            ) from None

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that `install` could not take."""
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
        self._planning = Planning(ready, self._pads, self._config.limits)
        if self._server is not None:
            self._server.recheck()

    async def stop(self) -> None:
        """Take no more clients, let what is in flight end, cut the rest."""
        if self._server is not None:
            await self._server.close()

    def _plan(self, text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> Plans:
        return (_gone,) if self._planning is None else self._planning.plan(text, live, mount, declared)

    def _dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        return None if self._planning is None else self._planning.dry_run(plan, live, mount)


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
