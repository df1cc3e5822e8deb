"""Connection details of a session: variables for a shell, or a service file with a passfile. Never an argument."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bailiwick.errors import ConfigError, SessionError

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json


@dataclass(frozen=True, slots=True)
class Details:
    """How clients connect. PostgreSQL: database = mount, user = agent, password = token. MCP: URL and token."""

    host: str
    port: int
    mounts: tuple[str, ...]
    """Those of kind `postgres`."""
    user: str
    token: str = field(repr=False)
    mcp: str = ""
    """URL of the MCP endpoint, where the session reaches something by it."""
    http: str = ""
    """URL below which the APIs of the session are, each under the name of its mount."""
    functions: bool = False
    """Whether it reaches functions that an application guards, for which the token is all."""

    @staticmethod
    def of(opened: Mapping[str, Json]) -> Details:
        """Return the details in the answer to `session.open`."""
        session = cast("Mapping[str, Json]", opened["session"])
        front = cast("Mapping[str, Mapping[str, Json]]", opened["fronts"]).get("postgres")
        kinds = cast("Mapping[str, Json]", opened.get("kinds", {}))
        mounts = cast("list[str]", session["mounts"])
        databases = tuple(name for name in mounts if kinds.get(name, "postgres") == "postgres")
        if front is None and databases:
            raise SessionError("the gateway has no PostgreSQL front", remedy="use `--format json`")
        return Details(
            host="" if front is None else str(front["host"]),
            port=0 if front is None else int(cast("int", front["port"])),
            mounts=databases,
            user=str(session["agent"]),
            token=str(opened["token"]),
            mcp=_front(opened, "mcp") if any(kinds.get(name) in ("mcp", "sql") for name in mounts) else "",
            http=_front(opened, "http") if any(kinds.get(name) == "http" for name in mounts) else "",
            functions=any(kinds.get(name) == "python" for name in mounts),
        )

    def exports(self) -> str:
        """Return `export` lines for a shell. Raises SessionError where the session has several PostgreSQL mounts."""
        named = {"BAILIWICK_MCP_URL": self.mcp, "BAILIWICK_HTTP_URL": self.http}
        values = {name: value for name, value in named.items() if value}
        if values or self.functions:
            values["BAILIWICK_TOKEN"] = self.token
        if not self.mounts and values:
            return _exports(values)
        if len(self.mounts) != 1:
            names = ", ".join(f"`{name}`" for name in self.mounts)
            raise SessionError(f"the session reaches several mounts: {names}", remedy="choose one: `--mount NAME`")
        values |= {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.mounts[0],
            "PGPASSWORD": self.token,
        }
        return _exports(values)

    def write_service(self, path: Path) -> str:
        """Write a service for each mount, named like it, and the passfile; return how to use them."""
        passfile = path.with_name(path.name + ".pass").absolute()
        sections: list[str] = []
        for mount in self.mounts:
            settings = {
                "host": self.host,
                "port": str(self.port),
                "dbname": mount,
                "user": self.user,
                "passfile": str(passfile),
            }
            sections.append(f"[{mount}]\n" + "".join(f"{name}={value}\n" for name, value in settings.items()))
        entries = [self.host, str(self.port), "*", self.user, self.token]
        write_private(passfile, ":".join(re.sub(r"([:\\])", r"\\\1", entry) for entry in entries) + "\n")
        write_private(path, "\n".join(sections))
        return f"export PGSERVICEFILE={shlex.quote(str(path.absolute()))} PGSERVICE={shlex.quote(self.mounts[0])}"


def _exports(values: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in values.items())


def _front(opened: Mapping[str, Json], name: str) -> str:
    front = cast("Mapping[str, Mapping[str, Json]]", opened["fronts"]).get(name)
    return "" if front is None else str(front["url"])


def write_private(path: Path, text: str) -> None:
    """Write a file that was never readable by others, replacing what had its name."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"`{path}` cannot be written: {error.strerror}", remedy="name another file") from None
