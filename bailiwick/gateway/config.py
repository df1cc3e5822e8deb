"""GatewayConfig: where and how the gateway runs, from `gateway.yaml` and the environment.

The environment wins over the file. A key that does not exist, or a value of the wrong kind, is an error that names
its place; nothing is coerced and nothing is ignored.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast

import yaml

from bailiwick.errors import ConfigError
from bailiwick.gateway.authzen_names import SECTION as AUTHZEN
from bailiwick.gateway.authzen_names import AuthZenNames, read_names
from bailiwick.gateway.identity import Client, Identity, Issuer, Role, read_identity, roles
from bailiwick.gateway.identity import sections as identity_sections
from bailiwick.gateway.ledger.address import LedgerAddress, read_address
from bailiwick.gateway.ledger.searches import SECTION as SEARCHES
from bailiwick.gateway.ledger.searches import Search, read_searches
from bailiwick.gateway.notices.channels import SECTION, Channel, read_channels
from bailiwick.gateway.settings import Setting, keys, variable
from bailiwick.gateway.sinks.section import SECTION as SINKS
from bailiwick.gateway.sinks.section import Sink, read_sinks
from bailiwick.ledger.baselines import Rules
from bailiwick.model.label import Level

_console_port = 6435

sections = (*identity_sections, SECTION, SINKS, SEARCHES, AUTHZEN)
"""Keys that map names to settings; modules of their own read them."""


@dataclass(frozen=True, slots=True)
class PostgresListener:
    """Where PostgreSQL clients connect. Without a certificate only loopback clients are served."""

    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None


@dataclass(frozen=True, slots=True)
class WebListener:
    """Where clients of MCP, or of APIs, connect. Without a certificate only loopback clients are served."""

    host: str
    port: int
    hosts: tuple[str, ...]
    """Names, beside those of loopback, that a request may be addressed to."""
    origins: tuple[str, ...]
    """Origins of web pages that may call; every other page is refused."""
    tls_cert: Path | None
    tls_key: Path | None


@dataclass(frozen=True, slots=True)
class SessionMaxima:
    """What no session exceeds, whatever the policy or the opener says."""

    default_ttl: timedelta
    max_ttl: timedelta
    max_open: int


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one client can make the gateway hold."""

    connections: int
    login_time: timedelta
    statement_time: timedelta
    result: int
    """Bytes that one statement may return."""
    statement: int
    """Bytes of one SQL text."""
    parsers: int
    """Processes that read agents' SQL, at most."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """How people use the console."""

    serve: bool
    links: bool
    """Whether there are one-time links."""
    idle: timedelta
    """A login ends after so long without a request."""
    login: timedelta
    """A login ends after so long."""
    clearance: Mapping[Role, Level]
    """The highest label whose values a role sees."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The settings in force. Paths are absolute."""

    environment: Literal["staging", "production"]
    issuer: str
    data_dir: Path
    ledger: LedgerAddress
    """Where records are stored."""
    admin_socket: Path
    postgres: PostgresListener
    mcp: WebListener
    mcp_always: bool
    """Whether it also listens for a policy that has neither tools nor mounts of kind `sql`."""
    mcp_url: str
    """Where MCP clients find it, if not at its address; else empty."""
    api: WebListener | None
    """None: there is no API, and no tokens but those of the command line."""
    issuers: Mapping[str, Issuer]
    clients: Mapping[str, Client]
    http: WebListener
    console: ConsoleSettings
    notify: Mapping[str, Channel]
    """The ways to tell people, by name."""
    sessions: SessionMaxima
    limits: Ceilings
    http_url: str = ""
    """Where clients of APIs find it, if not at its address; else empty."""
    local_approvers: bool = True
    """Whether who may open the admin socket may decide on any approval."""
    limit_store: str = field(default="", repr=False)
    """URL of the Redis that counts limits; empty: this process does."""
    observing: bool = False
    """Whether policies may observe: the file itself says `environment: staging`, and no variable says otherwise."""
    findings: Rules | None = None
    """When something out of the usual is said; None: never."""
    sinks: Mapping[str, Sink] = field(default_factory=dict[str, Sink])
    """Where the ledger is delivered, by name."""
    file: Path | None = None
    """Where the settings were read; None: there was no such file."""
    searches: Mapping[str, Search] = field(default_factory=dict[str, Search])
    """Saved searches of the ledger, by name."""
    authzen: AuthZenNames = field(default_factory=AuthZenNames)
    """How those who ask for decisions name subjects and actions."""
    four_eyes: bool = False
    smtp: WebListener | None = None
    """None: messages are taken by MCP and HTTP alone."""
    """Whether a policy is promoted by somebody else than who changed it."""

    @property
    def state_file(self) -> Path:
        """Where sessions are stored."""
        return self.data_dir / "state.db"


def with_api_here(config: GatewayConfig) -> GatewayConfig:
    """Return settings with an API and a console, for this machine alone where none are configured."""
    if config.api is not None:
        return config
    return replace(config, api=WebListener("127.0.0.1", _console_port, (), (), None, None))


def policy_folder(policy: Path) -> Path:
    """Return the folder that relative settings start from: the policy's own, when it is a folder, else its parent."""
    return (policy if policy.is_dir() else policy.parent).absolute()


def load_config(policy: Path, environ: Mapping[str, str], file: Path | None = None) -> GatewayConfig:
    """Return the settings for a policy: `file`, else `gateway.yaml` beside the policy, else the defaults.

    A `file` that was named must exist. Raises ConfigError with `file:line:column` or the variable's name.
    """
    base = policy_folder(policy)
    path = file or base / "gateway.yaml"
    texts: dict[str, tuple[str, str]] = {}
    identity, channels, sinks = Identity(), dict[str, Channel](), dict[str, Sink]()
    searches, authzen = dict[str, Search](), AuthZenNames()
    if path.is_file():
        root = _root(path)
        if root is not None:
            texts.update(_from_mapping(path, root, ""))
            identity = read_identity(path, root)
            channels.update(read_channels(path, root))
            sinks.update(read_sinks(path, root))
            searches.update(read_searches(path, root))
            authzen = read_names(path, root)
    elif file is not None:
        raise ConfigError(f"there is no file `{file}`", remedy="name an existing gateway.yaml, or leave --config out")
    written, _ = texts.get("environment", ("", ""))
    texts.update(_from_environment(environ))
    made = _build(base, {name: _value(name, texts.get(name)) for name in keys}, identity, channels)
    # INVARIANT: no variable alone switches it on; whoever sets one may not be who answers for the file
    observing = written == "staging" and made.environment == "staging"
    return replace(
        made,
        sinks=sinks,
        searches=searches,
        authzen=authzen,
        observing=observing,
        file=path if path.is_file() else None,
    )


def _root(path: Path) -> yaml.Node | None:
    """Return the document of a gateway.yaml; None for an empty one."""
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"`{path}` cannot be read: {error}", remedy="make it a readable UTF-8 file") from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"`{path}` is not YAML: {' '.join(str(error).split())}", remedy="correct its syntax"
        ) from None


def _from_mapping(path: Path, node: yaml.Node, prefix: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield (key, (text, place)) of the settings that have one value."""
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{_place(path, node)}: a mapping of settings is expected here")
    seen: set[str] = set()
    for key_node, value_node in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
        name = prefix + (cast("str", key_node.value) if isinstance(key_node, yaml.ScalarNode) else "")
        where = _place(path, key_node)
        if name in seen:
            raise ConfigError(f"{where}: `{name}` is given twice", remedy="remove one of them")
        seen.add(name)
        if name in sections:
            continue
        if any(key.startswith(name + ".") for key in keys):
            yield from _from_mapping(path, value_node, name + ".")
        elif name not in keys:
            raise ConfigError(f"{where}: unknown key `{name}`", remedy=_suggestion(name, [*keys, *sections]))
        elif not isinstance(value_node, yaml.ScalarNode):
            raise ConfigError(f"{_place(path, value_node)}: `{name}` takes one value")
        elif value_node.tag != "tag:yaml.org,2002:null":
            yield name, (cast("str", value_node.value), _place(path, value_node))


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield (key, (text, place)). A variable that only resembles one of ours is an error, not silence."""
    variables = {variable(name): name for name in keys}
    for given, text in environ.items():
        if given in variables:
            yield variables[given], (text, f"environment variable `{given}`")
        elif given.startswith("BAILIWICK_") and difflib.get_close_matches(given, variables, 1, 0.9):
            raise ConfigError(f"unknown environment variable `{given}`", remedy=_suggestion(given, list(variables)))


def _value(name: str, given: tuple[str, str] | None) -> Setting:
    key = keys[name]
    text, place = given or (key.default, "default")
    if text == "":
        if key.optional:
            return ""
        raise ConfigError(f"{place}: `{name}` is empty", remedy="give it a value or leave the key out")
    try:
        return key.parse(text)
    except ConfigError as error:
        raise ConfigError(f"{place}: `{name}`: {error.message}", remedy=error.remedy) from None


def _build(
    base: Path, values: Mapping[str, Setting], identity: Identity, channels: Mapping[str, Channel]
) -> GatewayConfig:
    def text(name: str) -> str:
        return cast("str", values[name])

    def count(name: str) -> int:
        return cast("int", values[name])

    def span(name: str) -> timedelta:
        return cast("timedelta", values[name])

    def path(name: str) -> Path | None:
        return base / text(name) if text(name) else None

    data_dir = base / text("data_dir")
    tls_cert, tls_key = path("postgres.tls_cert"), path("postgres.tls_key")
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("`postgres.tls_cert` and `postgres.tls_key` belong together", remedy="give both, or neither")

    def plain(name: str) -> WebListener:
        certificate, key = path(f"{name}.tls_cert"), path(f"{name}.tls_key")
        if (certificate is None) != (key is None):
            message = f"`{name}.tls_cert` and `{name}.tls_key` belong together"
            raise ConfigError(message, remedy="give both, or neither")
        return WebListener(text(f"{name}.host"), count(f"{name}.port"), (), (), certificate, key)

    def web(name: str) -> WebListener:
        hosts, origins = _listed(text(f"{name}.hosts")), _listed(text(f"{name}.origins"))
        return replace(plain(name), hosts=hosts, origins=origins)

    if span("sessions.default_ttl") > span("sessions.max_ttl"):
        raise ConfigError(
            "`sessions.default_ttl` is longer than `sessions.max_ttl`", remedy="lower the one or raise the other"
        )
    return GatewayConfig(
        environment=cast("Literal['staging', 'production']", text("environment")),
        issuer=text("issuer"),
        data_dir=data_dir,
        ledger=_ledger(base, text("ledger")) if values["ledger"] != "" else data_dir / "ledger.db",
        admin_socket=path("admin_socket") or data_dir / "admin.sock",
        postgres=PostgresListener(text("postgres.host"), count("postgres.port"), tls_cert, tls_key),
        mcp=web("mcp"),
        mcp_always=text("mcp.listen") == "always",
        mcp_url=text("mcp.url").rstrip("/"),
        api=web("api") if values["api.port"] != "" else None,
        issuers=identity.issuers,
        clients=identity.clients,
        http=web("http"),
        console=ConsoleSettings(
            text("console.serve") == "auto",
            text("console.links") == "auto",
            span("console.idle"),
            span("console.login"),
            {role: cast("Level", text(f"clearance.{role}")) for role in roles},
        ),
        notify=channels,
        sessions=SessionMaxima(span("sessions.default_ttl"), span("sessions.max_ttl"), count("sessions.max_open")),
        limits=Ceilings(
            count("limits.connections"),
            span("limits.login_time"),
            span("limits.statement_time"),
            count("limits.result"),
            count("limits.statement"),
            count("limits.parsers"),
        ),
        http_url=text("http.url"),
        local_approvers=text("approvals.local") == "true",
        limit_store=text("limits.store"),
        findings=Rules(
            span("findings.learning"), count("findings.hours"), count("findings.calls"), count("findings.times")
        )
        if text("findings.watch") == "auto"
        else None,
        four_eyes=text("promotion.four_eyes") == "true",
        smtp=plain("smtp") if values["smtp.port"] != "" else None,
    )


def _ledger(base: Path, text: str) -> LedgerAddress:
    try:
        return read_address(text, base)
    except ConfigError as error:
        raise ConfigError(f"`ledger`: {error.message}", remedy=error.remedy) from None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def _place(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean `{close[0]}`?" if close else "the keys are " + ", ".join(f"`{key}`" for key in known)
