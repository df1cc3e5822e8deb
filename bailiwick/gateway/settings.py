"""The table of gateway settings: every key, its kind, its default, and how its text becomes a value.

Owns the names. Reads no file and no environment: see `bailiwick.gateway.config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from bailiwick.errors import ConfigError
from bailiwick.model.label import levels

Setting = str | int | timedelta

_durations: Mapping[str, timedelta] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_sizes: Mapping[str, int] = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_duration(text: str) -> timedelta:
    """Return the duration that `30m`, `12h`, `500ms` … says; a positive one, or ConfigError."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})(ms|s|m|h|d)", text)
    if match is None:
        raise ConfigError(f"`{text}` is not a duration", remedy="write a number and a unit, e.g. `30m`, `12h`, `500ms`")
    return int(match[1]) * _durations[match[2]]


def parse_size(text: str) -> int:
    """Return the number of bytes that `64KiB`, `1MiB` or a plain number says; a positive one, or ConfigError."""
    match = re.fullmatch(r"([1-9][0-9]{0,11})(B|KiB|MiB|GiB)?", text)
    if match is None:
        raise ConfigError(f"`{text}` is not a size", remedy="write a number of bytes, or e.g. `64KiB`, `1MiB`")
    return int(match[1]) * _sizes[match[2] or "B"]


def parse_count(text: str) -> int:
    """Return a positive whole number, or ConfigError."""
    if re.fullmatch(r"[1-9][0-9]{0,8}", text) is None:
        raise ConfigError(f"`{text}` is not a positive whole number", remedy="write e.g. `100`")
    return int(text)


def parse_port(text: str) -> int:
    """Return a TCP port, 0 for any free one, or ConfigError."""
    if re.fullmatch(r"[0-9]{1,5}", text) is None or int(text) > 65535:
        raise ConfigError(f"`{text}` is not a port", remedy="write a number from 0 to 65535; 0 takes a free one")
    return int(text)


def parse_root(text: str) -> str:
    """Return a URL of http or https without a path, or ConfigError."""
    if re.fullmatch(r"https?://(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?/?", text) is None:
        message = f"`{text[:200]}` is not a URL without a path"
        raise ConfigError(message, remedy="write scheme and host, e.g. `https://apis.example`")
    return text.rstrip("/").lower()


def parse_environment(text: str) -> str:
    """Return `staging` or `production`, or ConfigError."""
    if text not in ("staging", "production"):
        raise ConfigError(f"`{text}` is not an environment", remedy="write `staging` or `production`")
    return text


def parse_truth(text: str) -> str:
    """Return `true` or `false`, or ConfigError."""
    if text not in ("true", "false"):
        raise ConfigError(f"`{text}` is neither true nor false", remedy="write `true` or `false`")
    return text


def parse_level(text: str) -> str:
    """Return a level of labels, or ConfigError."""
    if text not in levels:
        raise ConfigError(f"`{text}` is not a level", remedy="write one of " + ", ".join(levels))
    return text


def parse_serving(text: str) -> str:
    """Return `auto` or `never`, or ConfigError."""
    if text not in ("auto", "never"):
        raise ConfigError(f"`{text}` does not say whether to serve", remedy="write `auto` or `never`")
    return text


def parse_watching(text: str) -> str:
    """Return `auto` or `never`, or ConfigError."""
    if text not in ("auto", "never"):
        raise ConfigError(f"`{text}` does not say whether to watch", remedy="write `auto` or `never`")
    return text


def parse_listening(text: str) -> str:
    """Return `auto` or `always`, or ConfigError."""
    if text not in ("auto", "always"):
        raise ConfigError(f"`{text}` does not say when to listen", remedy="write `auto` or `always`")
    return text


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. `default` is what holds when neither the file nor the environment says anything."""

    parse: Callable[[str], Setting]
    default: str
    summary: str

    @property
    def optional(self) -> bool:
        """Whether it may stay empty."""
        return self.default == ""


keys: Mapping[str, Key] = {
    "environment": Key(parse_environment, "production", "staging or production"),
    "issuer": Key(str, "bailiwick", "`iss` of the tokens; with an API its public URL"),
    "data_dir": Key(str, ".bailiwick", "state, ledger and keys; relative to the policy's folder"),
    "ledger": Key(str, "", "a path, or `postgresql://…/DATABASE?log=NAME`; default: ledger.db in the data directory"),
    "admin_socket": Key(str, "", "Unix socket of the command line; default: admin.sock in the data directory"),
    "postgres.host": Key(str, "127.0.0.1", "address that agents' PostgreSQL clients connect to"),
    "postgres.port": Key(parse_port, "6432", "its port; 0 takes a free one"),
    "postgres.tls_cert": Key(str, "", "PEM certificate chain; empty: no TLS, loopback clients only"),
    "postgres.tls_key": Key(str, "", "PEM private key of the certificate"),
    "mcp.host": Key(str, "127.0.0.1", "address that agents' MCP clients connect to"),
    "mcp.port": Key(parse_port, "6433", "its port; 0 takes a free one; see `mcp.listen`"),
    "mcp.listen": Key(parse_listening, "auto", "auto: when the policy has tools or `sql` mounts; always"),
    "mcp.hosts": Key(str, "", "further names, with commas, by which clients may call it (`Host`)"),
    "mcp.origins": Key(str, "", "web origins, with commas, whose pages may call it; empty: none"),
    "mcp.url": Key(str, "", "its URL for clients, with the path /mcp, where that is not its address"),
    "mcp.tls_cert": Key(str, "", "PEM certificate chain; empty: no TLS, loopback clients only"),
    "mcp.tls_key": Key(str, "", "PEM private key of the certificate"),
    "api.host": Key(str, "127.0.0.1", "address of the API: tokens, decisions, administration"),
    "api.port": Key(parse_port, "", "its port, e.g. 6435; 0 takes a free one; empty: there is no API"),
    "api.hosts": Key(str, "", "further names, with commas, by which clients may call it (`Host`)"),
    "api.origins": Key(str, "", "web origins, with commas, whose pages may call it; empty: none"),
    "api.tls_cert": Key(str, "", "PEM certificate chain; empty: no TLS, loopback clients only"),
    "api.tls_key": Key(str, "", "PEM private key of the certificate"),
    "console.serve": Key(parse_serving, "auto", "auto: the console is served where the API is; never"),
    "console.idle": Key(parse_duration, "30m", "a login ends after so long without a request"),
    "console.login": Key(parse_duration, "10h", "a login ends after so long"),
    "console.links": Key(parse_serving, "auto", "auto: one-time links for administrators on this machine; never"),
    "clearance.viewer": Key(parse_level, "internal", "highest label whose values this role sees in records"),
    "clearance.approver": Key(parse_level, "confidential", "likewise"),
    "clearance.auditor": Key(parse_level, "confidential", "likewise"),
    "clearance.opener": Key(parse_level, "internal", "likewise"),
    "clearance.administrator": Key(parse_level, "restricted", "likewise"),
    "http.host": Key(str, "127.0.0.1", "address that agents' HTTP clients connect to"),
    "http.port": Key(parse_port, "6434", "its port; 0 takes a free one; used when the policy has APIs"),
    "http.hosts": Key(str, "", "further names, with commas, by which clients may call it (`Host`)"),
    "http.origins": Key(str, "", "web origins, with commas, whose pages may call it; empty: none"),
    "http.url": Key(parse_root, "", "its URL for clients, without a path, where that is not its address"),
    "http.tls_cert": Key(str, "", "PEM certificate chain; empty: no TLS, loopback clients only"),
    "http.tls_key": Key(str, "", "PEM private key of the certificate"),
    "smtp.host": Key(str, "127.0.0.1", "address that agents' mail programs connect to"),
    "smtp.port": Key(parse_port, "", "its port, e.g. 6587; 0 takes a free one; empty: mail by MCP and HTTP alone"),
    "smtp.tls_cert": Key(str, "", "PEM certificate chain; empty: no TLS, loopback clients only"),
    "smtp.tls_key": Key(str, "", "PEM private key of the certificate"),
    "approvals.local": Key(parse_truth, "true", "whether who may open the admin socket may decide on any approval"),
    "promotion.four_eyes": Key(parse_truth, "false", "whether a policy is promoted by others than who changed it"),
    "sessions.default_ttl": Key(parse_duration, "30m", "lifetime of a session that asks for none"),
    "sessions.max_ttl": Key(parse_duration, "12h", "longest lifetime that anybody gets"),
    "sessions.max_open": Key(parse_count, "10000", "sessions open at once"),
    "findings.watch": Key(parse_watching, "auto", "auto: departures from what agents usually do are looked for; never"),
    "findings.learning": Key(parse_duration, "7d", "nothing is said of an agent in a task for so long"),
    "findings.hours": Key(parse_count, "24", "nor before so many hours with calls"),
    "findings.calls": Key(parse_count, "200", "nor before so many calls"),
    "findings.times": Key(parse_count, "3", "an hour departs that has more than so many times the usual"),
    "limits.connections": Key(parse_count, "500", "client connections at once"),
    "limits.login_time": Key(parse_duration, "10s", "time from connecting to being logged in"),
    "limits.statement_time": Key(parse_duration, "60s", "time that one statement may run"),
    "limits.result": Key(parse_size, "1GiB", "longest result of one statement"),
    "limits.statement": Key(parse_size, "64KiB", "longest SQL text"),
    "limits.store": Key(str, "", "`redis://…` where several gateways count limits together; empty: each for itself"),
    "limits.parsers": Key(parse_count, "2", "processes at most that read agents' SQL; the first is always there"),
}


def variable(name: str) -> str:
    """Return the environment variable of a key: `postgres.port` is `BAILIWICK_POSTGRES_PORT`."""
    return "BAILIWICK_" + name.replace(".", "_").upper()
