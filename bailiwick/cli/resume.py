"""`bailiwick resume everything`: the way back from `bailiwick stop everything`."""

from __future__ import annotations

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client, say

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def resume() -> None:
    """Let agents go on."""


@app.command()
def everything(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Let agents go on; what was suspended by itself stays so."""
    say(client(policy, config).ask("everything.resume", {}), "everything goes on", as_json=as_json)
