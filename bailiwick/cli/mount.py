"""`bailiwick mount`: close mounts of the gateway that runs, and open them again."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, Reason, client, listed, say, sessions_cut
from bailiwick.cli.suspensions import show as show_suspensions

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="MOUNT", help="Its name in the policy.")]


@app.command()
def close(
    mount: Name, reason: Reason, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None
) -> None:
    """Close a mount at once for all agents: what is in flight to its backend is cut, nothing more is let through."""
    found = client(policy, config).ask("mount.close", {"mount": mount, "reason": reason})
    say(found, f"{mount} closed; {sessions_cut(found)}", as_json=as_json)


@app.command("open")
def open_mount(mount: Name, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Open a closed mount again."""
    say(client(policy, config).ask("mount.open", {"mount": mount}), f"{mount} is open", as_json=as_json)


@app.command("list")
def list_closed(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List the closed mounts."""
    show_suspensions(listed("mount", policy, config), as_json=as_json, nothing="no mount is closed")
