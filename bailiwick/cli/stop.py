"""`bailiwick stop everything`: one command after which no agent can do anything. The gateway itself goes on running."""

from __future__ import annotations

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, Reason, client, say, sessions_cut

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def stop() -> None:
    """Stop what agents do."""


@app.command()
def everything(reason: Reason, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Suspend every agent at once: all that is in flight is cut; also after a restart, until `resume everything`."""
    found = client(policy, config).ask("everything.suspend", {"reason": reason})
    say(found, f"everything is suspended; {sessions_cut(found)}", as_json=as_json)
