"""`bailiwick serve`: run the gateway of one policy until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.gateway.config import GatewayConfig
    from bailiwick.gateway.run import Running
    from bailiwick.mounts.offered import Doings

app = typer.Typer(rich_markup_mode=None)


@app.command()
def serve(
    policy: Annotated[Path, typer.Argument(metavar="[POLICY]", help="The policy, a file or a folder.")] = Path(
        "policy.yaml"
    ),
    config: Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")] = None,
    console: Annotated[
        bool, typer.Option("--console", help="Serve the console on this machine, and print a link that logs in once.")
    ] = False,
) -> None:
    """Run the gateway for POLICY. SIGHUP or a changed file reloads it; SIGTERM or Ctrl-C stops."""
    import os
    import sys

    import uvloop

    from bailiwick.gateway.config import load_config, with_api_here
    from bailiwick.gateway.logs import set_up_logs
    from bailiwick.gateway.policies.ready import PolicyRefusedError

    settings = load_config(policy, os.environ, config)
    if console:
        settings = with_api_here(settings)
    set_up_logs()
    sys.setswitchinterval(0.0001)  # loop and ledger take turns; neither is to wait for the usual 5 ms
    try:
        uvloop.run(_run(policy.absolute(), settings, link=console or sys.stdout.isatty()))
    except PolicyRefusedError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        typer.echo(f"error: the policy `{policy}` cannot be served", err=True)
        raise typer.Exit(1) from None


def _settle() -> None:
    """Have the collector of cycles look at what requests make, and no more at what the gateway itself is made of."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _run(policy: Path, config: GatewayConfig, *, link: bool) -> None:
    """Run until told. `link`: print one that logs in once; not where output goes to a log that others read."""
    import os

    from bailiwick.console.site import Console
    from bailiwick.control.front import ControlFront
    from bailiwick.gateway.admin import local_name
    from bailiwick.gateway.run import run_until_told
    from bailiwick.mounts.email.front import EmailFront
    from bailiwick.mounts.files.front import FilesFront
    from bailiwick.mounts.http.front import HttpFront
    from bailiwick.mounts.mcp.front import McpFront
    from bailiwick.mounts.postgres.front import PostgresFront
    from bailiwick.mounts.python.front import PythonFront
    from bailiwick.mounts.sql.front import SqlMounts
    from bailiwick.policy.observed import observed_in_words
    from bailiwick.review.front import ReviewFront
    from bailiwick.review.shadow import Shadows

    def started(gateway: Running) -> None:
        for front in gateway.fronts:
            if front.address is not None:
                host, port = front.address
                typer.echo(f"{front.name}: {host}:{port}")
        for said in observed_in_words(gateway.ready.force.policy):
            typer.echo(f"observe: {said}")
        if link and config.api is not None and config.console.serve and config.console.links:
            typer.echo(f"console: {console.link(local_name(os.getuid()))}")
        _settle()
        typer.echo(f"ready: policy {gateway.ready.force.policy.version[:12]}; open a session: bailiwick session open")

    console = Console()
    postgres, databases, control = PostgresFront(config), SqlMounts(config), ControlFront(config, console)
    files = FilesFront(config)
    mail = EmailFront(config, files.fetch)
    own: Doings = {"email": mail.mails}
    asked = [postgres.questions, databases]
    served = McpFront(config, asked, lambda: control.url, own, [files.tools])
    web = HttpFront(config, lambda: control.url, files, own)
    reviews = ReviewFront(policy, config)
    fronts = [reviews, postgres, databases, mail, files, served, PythonFront(config), web, Shadows(), control]
    await run_until_told(policy, config, os.environ, fronts, started)
