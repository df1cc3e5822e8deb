"""`bailiwick console`: a first look at the console of the gateway that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Log in to the console of the gateway that runs."""


@app.command()
def link(
    policy: Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")] = Path("policy.yaml"),
    config: Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")] = None,
) -> None:
    """Print a link that logs in once, as administrator, on this machine, within ten minutes."""
    import os

    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.config import load_config

    client = AdminClient(load_config(policy, os.environ, config).admin_socket)
    typer.echo(client.ask("console.link", {})["url"])
