"""`bailiwick agent`: suspend agents of the gateway that runs, and let them go on."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, Reason, client, listed, say, sessions_cut
from bailiwick.cli.suspensions import show as show_suspensions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="AGENT", help="Its name in the policy.")]


@app.command()
def suspend(
    agent: Name, reason: Reason, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None
) -> None:
    """Suspend an agent at once: its sessions are cut and can do nothing, no new one is opened."""
    found = client(policy, config).ask("agent.suspend", {"agent": agent, "reason": reason})
    say(found, f"{agent} suspended; {sessions_cut(found)}", as_json=as_json)


@app.command()
def resume(agent: Name, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Let a suspended agent go on: those of its sessions that are still open can be used again."""
    say(client(policy, config).ask("agent.resume", {"agent": agent}), f"{agent} goes on", as_json=as_json)


@app.command("list")
def list_suspended(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List the suspended agents."""
    show_suspensions(listed("agent", policy, config), as_json=as_json, nothing="no agent is suspended")
