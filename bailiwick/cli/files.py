"""`bailiwick files`: what is kept of files that agents changed, and putting it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client, say

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Mount = Annotated[str, typer.Argument(metavar="MOUNT", help="Its name in the policy.")]
Path = Annotated[str, typer.Argument(metavar="PATH", help="From the root of the mount.")]
VersionId = Annotated[str, typer.Argument(metavar="VERSION", help="One that `versions` lists.")]


@app.command()
def versions(
    mount: Mount, path: Path, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None
) -> None:
    """List what is kept of a file, the newest first: what was there before it was overwritten or deleted."""
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = client(policy, config).ask("files.versions", {"mount": mount, "path": path})
    kept = cast("Sequence[Mapping[str, Json]]", found["versions"])
    if as_json:
        typer.echo(json.dumps(kept, indent=2))
        return
    if not kept:
        typer.echo("nothing is kept of it")
        return
    table = Table(box=None, pad_edge=False)
    titles = ("version", "kept_at", "size", "replaced_by", "agent")
    for title in titles:
        table.add_column(title.replace("_", " "), overflow="fold")
    for each in kept:
        table.add_row(*(escape(str(each[name])) for name in titles))
    Console().print(table)


@app.command()
def restore(
    mount: Mount,
    path: Path,
    version: VersionId,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Put a version of a file back. What is there now is kept, too."""
    asked = {"mount": mount, "path": path, "version": version}
    found = client(policy, config).ask("files.restore", cast("dict[str, Json]", asked))
    say(found, f"{path} is as it was: {found['size']} bytes", as_json=as_json)
