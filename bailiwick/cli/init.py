"""`bailiwick init`: write a starter policy from a live database. It grants nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.model.lock import LockedTable

app = typer.Typer(rich_markup_mode=None)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}")


@app.command()
def init(
    url_env: Annotated[str, typer.Option("--url-env", metavar="NAME", help="Variable that holds the database's URL.")],
    mount: Annotated[str, typer.Option("--mount", help="Name of the mount; default: from the variable.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write policy.yaml, bailiwick.lock and gateway.yaml from a live database. Nothing that exists is overwritten."""
    from bailiwick.gateway.files import lock_name
    from bailiwick.gateway.starter import starter_policy, starter_settings
    from bailiwick.model.lock import Lock
    from bailiwick.policy.lockfile import render_lock

    name = mount or re.sub(r"_(url|dsn|uri)$", "", url_env.lower())
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(f"`{name}` is not a name for a mount", param_hint="--mount")
    files = {each: out / each for each in ("policy.yaml", lock_name, "gateway.yaml")}
    _refuse_to_overwrite(files)
    tables = _tables(url_env, out)
    texts = {
        "policy.yaml": starter_policy(name, url_env, tables),
        lock_name: render_lock(Lock({name: tables})),
        "gateway.yaml": starter_settings(),
    }
    _write({files[each]: text for each, text in texts.items()})
    if as_json:
        import json

        found = {"mount": name, "tables": len(tables), "files": [str(path) for path in files.values()]}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for path in files.values():
        typer.echo(f"wrote {path}")
    typer.echo(f"{len(tables)} tables and views of `{name}` are mapped, and nothing is granted yet")
    typer.echo(f"next: read it, correct the labels, add a role and an agent, then bailiwick policy check {out}")


def _refuse_to_overwrite(files: Mapping[str, Path]) -> None:
    from bailiwick.errors import ConfigError

    for path in files.values():
        if path.exists():
            raise ConfigError(f"`{path}` exists already", remedy="give another folder with `--out`, or remove it")


def _tables(variable: str, base: Path) -> Mapping[tuple[str, str], LockedTable]:
    import asyncio
    import os

    from bailiwick.gateway.introspect import read_tables
    from bailiwick.gateway.secrets import resolve
    from bailiwick.model.policy import SecretRef

    url = resolve(SecretRef(f"${{{variable}}}"), os.environ, base).reveal()
    return asyncio.run(read_tables(url, None))


def _write(texts: Mapping[Path, str]) -> None:
    from bailiwick.errors import ConfigError

    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise ConfigError(
                f"`{path}` cannot be written: {reason}", remedy="give another folder with `--out`"
            ) from None
