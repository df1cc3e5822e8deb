"""`bailiwick http`: write a mount from an API's OpenAPI document, or from its GraphQL types."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bailiwick.mounts.http.graphql.importing import ImportedGraph

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
_largest = 32 * 1024 * 1024


@app.callback()
def http() -> None:
    """Write mounts for HTTP APIs."""


@app.command("import")
def import_api(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An OpenAPI document (YAML, JSON); or GraphQL types (SDL, JSON).")
    ],
    name: Annotated[str, typer.Option("--name", help="Of the mount.")] = "api",
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a mount from an OpenAPI document (3.x), or GraphQL types: all that it has with guessed actions.

    Nothing is granted.
    """
    from bailiwick.errors import ConfigError
    from bailiwick.mounts.http.importing import as_policy, imported

    if out is not None and out.exists():
        raise ConfigError(f"`{out}` exists already", remedy="give another file with `--out`, or remove it")
    graph = _graphql(name, file, out)
    if graph is not None:
        _written(graph, out, as_json=as_json)
        return
    found = imported(name, _document(file))
    if as_json:
        import json
        from dataclasses import asdict

        text = json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n"
    else:
        text = as_policy(found)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{out}` cannot be written: {reason}", remedy="name another file") from None
    typer.echo(f"{len(found.routes)} routes written to {out}; look them through, then `bailiwick policy check {out}`")


def _graphql(name: str, file: Path, out: Path | None) -> ImportedGraph | None:
    """Return what a file of GraphQL types has; None: it is another document."""
    import json
    import os

    from bailiwick.errors import ConfigError

    if file.suffix not in (".graphql", ".graphqls", ".gql", ".json"):
        return None
    from bailiwick.mounts.http.graphql.accepting import read_schema

    text = read_schema(file)
    if file.suffix == ".json":
        try:
            told: object = json.loads(text)
        except ValueError:
            raise ConfigError(f"`{file}` is not JSON", remedy="name an OpenAPI document, or GraphQL types") from None
        if not isinstance(told, dict) or not ("__schema" in told or "data" in told):
            return None
    from bailiwick.mounts.http.graphql.importing import graph_imported

    beside = os.path.relpath(file, Path.cwd() if out is None else out.parent)
    return graph_imported(name, text, beside)


def _written(found: ImportedGraph, out: Path | None, *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from bailiwick.errors import ConfigError
    from bailiwick.mounts.http.graphql.importing import graph_as_policy

    text = json.dumps(asdict(found), indent=2) + "\n" if as_json else graph_as_policy(found)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{out}` cannot be written: {reason}", remedy="name another file") from None
    typer.echo(f"{len(found.fields)} fields written to {out}; look them through, then `bailiwick policy check {out}`")


def _document(file: Path) -> Mapping[str, object]:
    """Return the document. Raises ConfigError."""
    from typing import cast

    import yaml

    from bailiwick.errors import ConfigError

    try:
        if file.stat().st_size > _largest:
            raise ConfigError(f"`{file}` is larger than 32 MiB", remedy="import a part of it")
        found: object = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{file}` cannot be read: {reason}", remedy="name an OpenAPI document") from None
    except (UnicodeDecodeError, ValueError, yaml.YAMLError, RecursionError):
        raise ConfigError(f"`{file}` is neither YAML nor JSON", remedy="name an OpenAPI document") from None
    document = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    if not str(document.get("openapi", "")).startswith("3."):
        raise ConfigError(f"`{file}` is not an OpenAPI 3 document", remedy="convert older ones to 3.0 first")
    return document
