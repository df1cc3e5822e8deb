"""What of a server's settings may stand in a policy, and what becomes a reference. Doubt makes a reference. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from bailiwick.mounts.mcp.importing.clients import Server

REMOVED = "CREDENTIAL-REMOVED"
_PLAIN = re.compile(
    r"true|false|yes|no|on|off|[0-9]{1,5}|debug|info|warn|warning|error|trace|stdio|http|production|development|test"
    r"|utf-8|C\.UTF-8|en_US\.UTF-8",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\$\{(?:(?:env|input):)?([A-Za-z_][A-Za-z0-9_.-]*)\}")
_SECRETIVE = re.compile(
    r"auth|cookie|token|secret|passw|passphrase|pwd|credential|bearer|signature|session|(?:^|[^a-z])(?:key|pat|pass|sas)"
    r"|api.?key|access.?key|private|dsn|connection.?string",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:sk-|pk-|rk_|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abeprs]-|AKIA|ASIA|AIza|eyJ|hf_|npm_|pypi-"
    r"|ntn_|secret_|Bearer |Basic )"
)
_LONG = re.compile(r"[A-Za-z0-9_\-+=]{16,}")
_USERINFO = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s]*@", re.IGNORECASE)
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_HEADER = re.compile(r"(?!(?:accept|content-|host$|connection$|transfer-|mcp-|last-event-id))[A-Za-z0-9_-]{1,64}", re.I)
_PACKAGE = re.compile(r"@?[a-z0-9._-]+(?:/[a-z0-9._-]+)?(?:@[a-z0-9^~.-]+)?")


_Refer = Callable[[str, str | None], str]
"""(name, value) → `${NAME}`."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A server's settings without credentials, and how to start it with them."""

    name: str
    command: tuple[str, ...]
    url: str
    env: Mapping[str, str]
    headers: Mapping[str, str]
    variables: tuple[str, ...]
    """Names that the gateway's environment has to have."""
    notes: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """What the variables hold in the client's settings. Never to be shown."""


class References:
    """Gives each value of all servers a name; the same name is used again only for the same value."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}
        """None: known by its name alone, as the client's settings refer to it."""

    def to(self, server: str, name: str, value: str | None) -> str:
        """Return the name of the variable that stands for a value."""
        wanted = variable(name)
        if wanted in self.values and self.values[wanted] != value:
            wanted = variable(f"{server}_{name}")
        start, number = wanted, 2
        while wanted in self.values and self.values[wanted] != value:
            wanted, number = f"{start}_{number}", number + 1
        self.values[wanted] = value
        return wanted


def variable(text: str) -> str:
    """Return a text as the name of an environment variable."""
    found = re.sub(r"[^A-Z0-9_]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text).upper())[:100]
    return found if re.match(r"[A-Z_]", found) else f"_{found}"


def settled(server: Server, references: References) -> Settled:
    """Return a server's settings as a policy may hold them."""
    used: dict[str, str | None] = {}

    def refer(name: str, value: str | None) -> str:
        found = references.to(server.name, name, value)
        used[found] = value
        return f"${{{found}}}"

    env = {name: _value(name, text, refer) for name, text in server.env.items() if _VARIABLE.fullmatch(name)}
    named = {name: text for name, text in server.headers.items() if _HEADER.fullmatch(name)}
    headers = {name: _header(server.name, name, text, refer) for name, text in named.items()}
    sayable = tuple(part for part in server.command if part and part.isprintable())
    command, removed = _command(sayable, env, refer)
    notes = list(server.notes)
    if len(env) < len(server.env) or len(headers) < len(server.headers) or len(sayable) < len(server.command):
        notes.append("what no policy can say of its arguments, variables and headers was left out")
    if removed:
        notes.append(f"a credential stood in its arguments and was left out ({REMOVED}): hand it over in `env`")
    url = server.url if not server.url or _is_plain_url(server.url) else refer(f"{server.name}_URL", server.url)
    values = {name: value for name, value in used.items() if value is not None}
    return Settled(server.name, command, url, env, headers, tuple(used), tuple(notes), values)


def _value(name: str, text: str, refer: _Refer) -> str:
    if _REFERENCE.fullmatch(text):
        return _referred(text, refer)
    plain = _PLAIN.fullmatch(text) is not None and _SECRETIVE.search(name) is None
    return text if plain else refer(name, text)


def _header(server: str, name: str, text: str, refer: _Refer) -> str:
    scheme, space, rest = text.partition(" ")
    if space and scheme.lower() in ("bearer", "basic", "token"):
        whole = _REFERENCE.fullmatch(rest.strip())
        inner = _referred(rest.strip(), refer) if whole else refer(f"{server}_TOKEN", rest.strip())
        return f"{scheme} {inner}"
    return _referred(text, refer) if _REFERENCE.fullmatch(text) else refer(f"{server}_{name}", text)


def _referred(text: str, refer: _Refer) -> str:
    """Return a client's own reference as ours."""
    return _REFERENCE.sub(lambda match: refer(match[1], None), text)


def _command(parts: tuple[str, ...], env: dict[str, str], refer: _Refer) -> tuple[tuple[str, ...], bool]:
    """Return a command without credentials, and whether something had to be left out.

    What is handed to a container by `-e NAME=VALUE` becomes `-e NAME` and an entry of `env`.
    """
    found: list[str] = list(parts[:1])
    removed = False
    in_container = bool(parts) and parts[0].rsplit("/", 1)[-1] in ("docker", "podman")
    for before, part in pairwise(parts):
        assigned = _ASSIGNED.fullmatch(part)
        if in_container and before in ("-e", "--env") and assigned is not None:
            env[assigned[1]] = _value(assigned[1], assigned[2], refer)
            found.append(assigned[1])  # by its name alone: the container takes over the value
            continue
        shown = _argument(before, part)
        removed |= shown != part
        found.append(shown)
    return tuple(found), removed


def _argument(before: str, part: str) -> str:
    flag, equals, value = part.partition("=")
    if flag.startswith("-") and equals:
        return f"{flag}={REMOVED}" if _SECRETIVE.search(flag) or looks_secret(value) else part
    if before.startswith("-") and "=" not in before and _SECRETIVE.search(before) and not part.startswith("-"):
        return REMOVED
    return REMOVED if looks_secret(part) else part


def looks_secret(text: str) -> bool:
    """Return whether a text that is not named may be a credential, or hold one."""
    if "${" in text or _KNOWN.search(text) or _USERINFO.search(text):
        return True
    if "://" in text:
        return not _is_plain_url(text)
    if re.match(r"[A-Za-z-]+:\s*\S", text) and _SECRETIVE.search(text.partition(":")[0]):
        return True
    assigned = _ASSIGNED.fullmatch(text)
    if assigned is not None and _SECRETIVE.search(assigned[1]):
        return True
    return (_PACKAGE.fullmatch(text) is None and any(map(_is_random, _LONG.findall(text)))) or _is_random(text)


def _is_random(text: str) -> bool:
    """Return whether letters and digits stand mixed as nobody writes them by hand."""
    if len(text) < 16 or not _LONG.fullmatch(text):
        return False
    changes = sum(a.isdigit() != b.isdigit() for a, b in pairwise(text))
    cases = sum(a.islower() and b.isupper() for a, b in pairwise(text))
    return changes >= 4 or (changes >= 2 and cases >= 2) or cases >= 5


def _is_plain_url(text: str) -> bool:
    """Return whether a URL holds nothing that could be a credential."""
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalpha() or _USERINFO.match(text) or any(each in rest for each in "?#${}"):
        return False
    return not any(_is_random(segment) or _KNOWN.search(segment) for segment in rest.split("/")[1:])
