"""`bailiwick init`: write a starter policy from what is there. It grants nothing."""

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
    url_env: Annotated[
        str, typer.Option("--url-env", metavar="NAME", help="Variable that holds the URL of a PostgreSQL database.")
    ] = "",
    file: Annotated[Path | None, typer.Option("--file", help="Or: a file of SQLite or DuckDB.")] = None,
    folder: Annotated[Path | None, typer.Option("--folder", help="Or: a folder of files.")] = None,
    bucket: Annotated[str, typer.Option("--bucket", metavar="URL", help="Or: `s3://bucket/prefix`.")] = "",
    smtp_env: Annotated[
        str, typer.Option("--smtp-env", metavar="NAME", help="Or: variable that holds the URL of a mail server.")
    ] = "",
    sender: Annotated[str, typer.Option("--from", help="With --smtp-env: the address that it sends as.")] = "",
    mount: Annotated[str, typer.Option("--mount", help="Name of the mount; default: from the variable or file.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a starter policy from a live database, a folder, a bucket or a mail server. Nothing is overwritten."""
    from bailiwick.gateway.files import lock_name
    from bailiwick.gateway.policies.starter import place_by_url, starter_policy, starter_settings
    from bailiwick.model.lock import Lock
    from bailiwick.policy.lockfile import render_lock

    if sum([file is not None, folder is not None, bool(url_env), bool(bucket), bool(smtp_env)]) != 1:
        raise typer.BadParameter("give one of `--url-env`, `--file`, `--folder`, `--bucket`, `--smtp-env`")
    if file is None and not url_env:
        _without_tables(mount, out, folder, bucket, (smtp_env, sender), as_json=as_json)
        return
    named = re.sub(r"[^A-Za-z0-9_-]+", "_", file.stem) if file is not None else url_env.lower()
    name = mount or re.sub(r"_(url|dsn|uri)$", "", named)
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(f"`{name}` is not a name for a mount", param_hint="--mount")
    files = {each: out / each for each in ("policy.yaml", lock_name, "gateway.yaml")}
    _refuse_to_overwrite(files)
    place = place_by_url(url_env) if file is None else _place(file, out)
    tables = _tables(url_env, out) if file is None else _tables_of(name, place, file)
    texts = {
        "policy.yaml": starter_policy(name, place, tables),
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


def _without_tables(
    mount: str, out: Path, folder: Path | None, bucket: str, mail: tuple[str, str], *, as_json: bool
) -> None:
    """Write the files for a folder, a bucket or a mail server; what is accepted of these stands in the policy."""
    import json
    import os

    from bailiwick.errors import ConfigError
    from bailiwick.gateway.policies.starter import starter_settings
    from bailiwick.gateway.policies.starter_places import bucket_policy, folder_policy, mail_policy
    from bailiwick.match.addresses import Fault, read_address
    from bailiwick.policy.load import load

    name = mount or ("mail" if mail[0] else "files")
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(f"`{name}` is not a name for a mount", param_hint="--mount")
    if mail[0] and isinstance(read_address(mail[1]), Fault):
        raise typer.BadParameter("give the address that it sends as: `name@example.com`", param_hint="--from")
    files = {each: out / each for each in ("policy.yaml", "gateway.yaml")}
    _refuse_to_overwrite(files)
    if folder is not None:
        try:
            inner = [each.name for each in folder.iterdir() if each.is_dir() and not each.is_symlink()]
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise ConfigError(f"`{folder}` cannot be read: {reason}", remedy="give a folder of files") from None
        text = folder_policy(name, os.path.relpath(folder, out), inner)
    else:
        text = bucket_policy(name, bucket) if bucket else mail_policy(name, *mail)
    problems = load({"policy.yaml": text}).problems
    if problems:
        raise ConfigError(f"no policy can be written from that: {problems[0]}", remedy="correct what was given")
    _write({files["policy.yaml"]: text, files["gateway.yaml"]: starter_settings()})
    if as_json:
        typer.echo(json.dumps({"mount": name, "files": [str(path) for path in files.values()]}, indent=2))
        return
    for path in files.values():
        typer.echo(f"wrote {path}")
    typer.echo(f"`{name}` is mapped, and nothing is granted yet")
    typer.echo(f"next: read it, add a role and an agent, then bailiwick policy check {out}")


def _refuse_to_overwrite(files: Mapping[str, Path]) -> None:
    from bailiwick.errors import ConfigError

    for path in files.values():
        if path.exists():
            raise ConfigError(f"`{path}` exists already", remedy="give another folder with `--out`, or remove it")


def _tables(variable: str, base: Path) -> Mapping[tuple[str, str], LockedTable]:
    import asyncio
    import os

    from bailiwick.gateway.backends.introspect import read_tables
    from bailiwick.gateway.secrets import resolve
    from bailiwick.model.policy import SecretRef

    url = resolve(SecretRef(f"${{{variable}}}"), os.environ, base).reveal()
    return asyncio.run(read_tables(url, None))


def _place(file: Path, out: Path) -> Mapping[str, str]:
    import os

    from bailiwick.errors import ConfigError
    from bailiwick.gateway.policies.starter import place_of_file

    try:
        with file.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{file}` cannot be read: {reason}", remedy="give a file of SQLite or DuckDB") from None
    engine = "sqlite" if start == b"SQLite format 3\0" else "duckdb" if start[8:12] == b"DUCK" else None
    path = os.path.relpath(file, out)
    if engine is None or "${" in path or not path.isprintable():
        message = f"`{file}` is no file of SQLite or DuckDB" if engine is None else f"a policy cannot name `{path!r}`"
        raise ConfigError(message, remedy="give a database's file with a plain name")
    return place_of_file(engine, path)


def _tables_of(name: str, place: Mapping[str, str], file: Path) -> Mapping[tuple[str, str], LockedTable]:
    """Return the tables of a file, as the mount that is about to be written reads them."""
    import asyncio

    from bailiwick.errors import ConfigError
    from bailiwick.gateway.backends.backends import read_tables
    from bailiwick.gateway.policies.starter import starter_policy
    from bailiwick.policy.load import load

    policy = load({"policy.yaml": starter_policy(name, place, {})}).policy
    if policy is None:
        raise ConfigError(f"no policy can have a mount `{name}` over that file", remedy="give a name with `--mount`")
    return asyncio.run(read_tables(policy.mounts[name], str(file.absolute()), None))


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
