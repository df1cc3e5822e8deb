"""`bailiwick learn import`: logs that exist already, as observations that `bailiwick learn --from` reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.learn.importing.imported import Counted, Ground, Reader


class LogKind(StrEnum):
    """What a log is."""

    postgres = "postgres"
    otlp = "otlp"
    mcp = "mcp"
    http = "http"


def import_logs(
    kind: Annotated[
        LogKind,
        typer.Argument(
            help="postgres: csvlog, also of pgaudit; otlp: traces as JSON; mcp: messages; http: access logs."
        ),
    ],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The logs.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the observations go, one JSON a line.")],
    agent: Annotated[str, typer.Option("--agent", metavar="A", help="Of whom it is; else of whom the log says.")] = "",
    mount: Annotated[str, typer.Option("--mount", help="Of postgres: the mount whose database it is.")] = "",
    policy: Annotated[
        Path, typer.Option("--policy", metavar="PATH", help="The policy that has the mounts, with its lock.")
    ] = Path("policy.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Read logs as observations. What cannot be understood is counted and left out, never guessed.

    Values of fields below `confidential` stand in the file in clear, all others as digests under a key of this run
    alone: import what belongs together at once.
    """
    import json
    import os

    import orjson

    from bailiwick.learn.importing.imported import Counted
    from bailiwick.model.observation_json import to_json

    ground = _ground(policy, agent)
    reader = _reader(kind, mount, ground)
    counted = Counted()
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with ExitStack() as stack:
        made = stack.enter_context(os.fdopen(descriptor, "wb"))
        for file in files:
            for seen in reader(_lines(file, stack), file.name, ground, counted):
                made.write(orjson.dumps(to_json(seen)) + b"\n")
    if as_json:
        found = {"lines": counted.lines, "observations": counted.observations, "left_out": dict(counted.left_out)}
        typer.echo(json.dumps({**found, "examples": counted.examples}, indent=2))
        return
    _say(counted, out)


def _say(counted: Counted, out: Path) -> None:
    typer.echo(f"{counted.observations} observations from {counted.lines} lines: {out}")
    for why, count in counted.left_out.most_common():
        typer.echo(f"left out: {count}, {why} ({', '.join(counted.examples[why])})")


def _ground(path: Path, agent: str) -> Ground:
    import secrets

    from bailiwick.errors import PolicyError
    from bailiwick.gateway.files import read_lock, read_policy
    from bailiwick.learn.importing.imported import Ground
    from bailiwick.match.masks import keyed_digest
    from bailiwick.model.lock import Lock
    from bailiwick.policy.load import load
    from bailiwick.policy.lockfile import parse_lock

    loaded = load(read_policy(path))
    if loaded.policy is None:
        raise PolicyError(f"`{path}` is no valid policy", remedy=f"run `bailiwick policy check {path}`")
    text = read_lock(path)
    lock = Lock({}) if text is None else parse_lock(text)
    return Ground(loaded.policy, lock, keyed_digest(secrets.token_bytes(32)), agent)


def _reader(kind: LogKind, mount: str, ground: Ground) -> Reader:
    from bailiwick.learn.importing import http_logs, postgres_logs, traces

    match kind:
        case LogKind.postgres:
            return postgres_logs.reader_of(mount, ground)
        case LogKind.otlp:
            return traces.read_otlp
        case LogKind.mcp:
            return traces.read_mcp
        case LogKind.http:
            return http_logs.read


def _lines(file: Path, stack: ExitStack) -> Iterator[str]:
    """Return the lines of a file as they are: fields of a log may hold ends of lines."""
    from bailiwick.errors import ObservationError

    try:
        return stack.enter_context(file.open(encoding="utf-8", errors="replace", newline=""))
    except OSError:
        raise ObservationError(f"`{file}` cannot be read", remedy="name a log that can be") from None
