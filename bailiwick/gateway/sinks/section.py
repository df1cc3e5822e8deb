"""Where the ledger is delivered: `sinks` of gateway.yaml. Secrets are references, which are resolved at the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal, cast, get_args

import yaml

from bailiwick.errors import ConfigError
from bailiwick.gateway.sections import Keys, Plain, named
from bailiwick.gateway.settings import parse_count, parse_duration, parse_size
from bailiwick.gateway.sinks.selection import Selection
from bailiwick.ledger.severity import Severity, severities
from bailiwick.model.policy import SecretRef

SECTION = "sinks"
SinkKind = Literal["jsonl", "syslog", "https", "splunk", "otlp", "kafka"]
Format = Literal["native", "ocsf"]
sink_kinds: tuple[SinkKind, ...] = get_args(SinkKind)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TOPIC = re.compile(r"[A-Za-z0-9_.-]{1,249}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_own: Mapping[SinkKind, tuple[str, ...]] = {
    "jsonl": ("rotate",),
    "syslog": ("ca", "cert", "key"),
    "https": ("headers", "ca", "cert", "key"),
    "splunk": ("token", "index", "ca", "cert", "key"),
    "otlp": ("headers", "ca", "cert", "key"),
    "kafka": ("topic", "user", "secret", "ca", "cert", "key"),
}
_secret_headers = ("authorization", "cookie", "key", "token", "secret")
_default_size, _default_keep = 100 * 1024**2, 30


@dataclass(frozen=True, slots=True)
class Rotation:
    """When a file is put aside for a new one, and how many of those are kept."""

    size: int = _default_size
    age: timedelta | None = None
    keep: int = _default_keep


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Whom a sink trusts beyond the system's, and how it shows who it is; empty: neither."""

    ca: str = ""
    cert: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Sink:
    """One place that the ledger is delivered to."""

    name: str
    kind: SinkKind
    target: SecretRef
    """Path, URL or brokers."""
    format: Format = "native"
    selection: Selection = field(default_factory=Selection)
    start: Literal["beginning", "now"] = "beginning"
    """Where a sink begins that was delivered nothing yet."""
    rotation: Rotation = field(default_factory=Rotation)
    headers: Mapping[str, SecretRef] = field(default_factory=dict[str, SecretRef])
    secret: SecretRef | None = None
    user: str = ""
    index: str = ""
    topic: str = ""
    tls: TlsFiles = field(default_factory=TlsFiles)


def read_sinks(path: Path, root: yaml.Node) -> Mapping[str, Sink]:
    """Return the sinks of a gateway.yaml. Raises ConfigError with `file:line:column` or the key that is wrong."""
    return {name: _sink(name, given) for name, given in named(SECTION, path, root).items()}


def _sink(name: str, given: Plain) -> Sink:
    every = dict.fromkeys(key for keys in _own.values() for key in keys)
    keys = Keys(f"{SECTION}.{name}", given, (*sink_kinds, "format", "select", "from", *every))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"`{name[:100]}` cannot name a sink", remedy="letters, digits, `_`, `-` and `.`")
    kinds: list[SinkKind] = [kind for kind in sink_kinds if keys.text(kind) is not None]
    if len(kinds) != 1:
        raise ConfigError(f"`{keys.what}` needs one of {', '.join(sink_kinds)}", remedy="make a sink for each")
    kind = kinds[0]
    odd = next((key for key in every if key in cast("dict[str, Plain]", given) and key not in _own[kind]), None)
    if odd is not None:
        remedy = f"leave it out; it has {', '.join(_own[kind])}"
        raise ConfigError(f"`{keys.what}`: a sink of kind `{kind}` has no `{odd}`", remedy=remedy)
    target = keys.text(kind) or ""
    if "@" in target and not target.startswith(("${", "file:")):
        raise ConfigError(f"`{keys.what}.{kind}` holds a name or password", remedy="write `${NAME}` or `file:PATH`")
    return Sink(
        name,
        kind,
        SecretRef(target),
        format=cast("Format", _one_of(keys, "format", ("native", "ocsf"))),
        selection=_selection(keys),
        start=cast("Literal['beginning', 'now']", _one_of(keys, "from", ("beginning", "now"))),
        rotation=_rotation(keys),
        headers=_headers(keys),
        secret=_secret(keys, kind),
        user=_user(keys, kind),
        index=keys.text("index") or "",
        topic=_topic(keys, kind),
        tls=_tls(keys),
    )


def _one_of(keys: Keys, key: str, known: tuple[str, ...]) -> str:
    found = keys.text(key) or known[0]
    if found not in known:
        raise ConfigError(f"`{keys.what}.{key}`: there is no `{found[:40]}`", remedy=f"write {' or '.join(known)}")
    return found


def _selection(keys: Keys) -> Selection:
    given = Keys(f"{keys.what}.select", keys.mapping("select"), ("kinds", "agents", "decisions", "severity"))
    least = _one_of(given, "severity", severities)
    decisions = given.texts("decisions")
    odd = next((each for each in decisions if each not in ("allow", "deny", "hold")), None)
    if odd is not None:
        raise ConfigError(f"`{given.what}.decisions`: there is no `{odd[:40]}`", remedy="write allow, deny or hold")
    return Selection(given.texts("kinds"), given.texts("agents"), decisions, cast("Severity", least))


def _rotation(keys: Keys) -> Rotation:
    given = Keys(f"{keys.what}.rotate", keys.mapping("rotate"), ("size", "age", "keep"))
    size, age, keep = (given.text(key) for key in ("size", "age", "keep"))
    try:
        return Rotation(
            _default_size if size is None else parse_size(size),
            None if age is None else parse_duration(age),
            _default_keep if keep is None else parse_count(keep),
        )
    except ConfigError as error:
        raise ConfigError(f"`{given.what}`: {error.message}", remedy=error.remedy) from None


def _headers(keys: Keys) -> Mapping[str, SecretRef]:
    found: dict[str, SecretRef] = {}
    for name, value in keys.mapping("headers").items():
        what = f"{keys.what}.headers.{name[:40]}"
        if not _HEADER.fullmatch(name) or not isinstance(value, str) or not value:
            raise ConfigError(f"`{what}` is not a header and its text")
        is_reference = value.startswith("file:") or "${" in value
        if not is_reference and any(word in name.lower() for word in _secret_headers):
            raise ConfigError(f"`{what}` is not a reference", remedy="write e.g. `Bearer ${NAME}`, or `file:PATH`")
        found[name] = SecretRef(value)
    return found


def _secret(keys: Keys, kind: SinkKind) -> SecretRef | None:
    key = "token" if kind == "splunk" else "secret"
    text = keys.text(key)
    if text is not None and not text.startswith(("${", "file:")):
        raise ConfigError(f"`{keys.what}.{key}` is not a reference", remedy="write `${NAME}` or `file:PATH`")
    if text is None and kind == "splunk":
        raise ConfigError(f"`{keys.what}` has no `token`", remedy="write e.g. `token: ${HEC_TOKEN}`")
    return None if text is None else SecretRef(text)


def _user(keys: Keys, kind: SinkKind) -> str:
    user = keys.text("user") or ""
    if kind == "kafka" and bool(user) != (keys.text("secret") is not None):
        raise ConfigError(f"`{keys.what}`: `user` and `secret` belong together", remedy="give both, or neither")
    return user


def _topic(keys: Keys, kind: SinkKind) -> str:
    topic = keys.text("topic") or ""
    if kind == "kafka" and not _TOPIC.fullmatch(topic):
        raise ConfigError(f"`{keys.what}` has no `topic`, or one that is none", remedy="write e.g. `topic: bailiwick`")
    return topic


def _tls(keys: Keys) -> TlsFiles:
    cert, key = keys.text("cert") or "", keys.text("key") or ""
    if bool(cert) != bool(key):
        raise ConfigError(f"`{keys.what}`: `cert` and `key` belong together", remedy="give both, or neither")
    return TlsFiles(keys.text("ca") or "", cert, key)
