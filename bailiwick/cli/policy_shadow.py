"""`bailiwick policy shadow`: a candidate policy beside the enforced one at the gateway that runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.quick import QuickGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bailiwick.gateway.wire import Json

app = typer.Typer(cls=QuickGroup, no_args_is_help=True, rich_markup_mode=None)
Served = Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")]
Settings = Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_HERE = Path("policy.yaml")


@app.command()
def start(
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The candidate, a file or a folder.")],
    policy: Served = _HERE,
    config: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Have NEW run in the shadow from now on; one that ran before ends."""
    from bailiwick.cli.suspensions import client
    from bailiwick.gateway.files import read_lock, read_policy

    fields = {"files": cast("Json", read_policy(new)), "lock": read_lock(new)}
    _say(client(policy, config).ask("policy.shadow", fields), as_json=as_json)


@app.command()
def status(policy: Served = _HERE, config: Settings = None, as_json: AsJson = False) -> None:
    """Show how far the candidate agrees, and what it would decide otherwise."""
    from bailiwick.cli.suspensions import client

    _say(client(policy, config).ask("policy.shadow.status", {}), as_json=as_json)


@app.command()
def stop(policy: Served = _HERE, config: Settings = None, as_json: AsJson = False) -> None:
    """End it; show what was found."""
    from bailiwick.cli.suspensions import client

    _say(client(policy, config).ask("policy.shadow.stop", {}), as_json=as_json)


@app.command()
def promote(
    despite: Annotated[bool, typer.Option("--despite", help="Although it would decide some otherwise.")] = False,
    policy: Served = _HERE,
    config: Settings = None,
) -> None:
    """Write the candidate where the policy stands, and have it read: from there it takes the way of every change.

    Refused while it would decide something otherwise. In production what widens still waits for `policy promote`.
    """
    from bailiwick.cli.suspensions import client
    from bailiwick.errors import PolicyError
    from bailiwick.gateway.files import lock_path, read_policy

    gateway = client(policy, config)
    candidate = gateway.ask("policy.shadow.status", {})["shadow"]
    places = {Path(name).name: Path(name) for name in read_policy(policy)}
    names = cast("list[str]", candidate["names"]) if isinstance(candidate, dict) else []
    if len(places) == len(names) == 1:
        places = dict(zip(names, places.values(), strict=True))
    if candidate is not None and {*places} != {*names}:
        raise PolicyError("the candidate has other files than the policy", remedy="copy them, then `policy promote`")
    found = gateway.ask("policy.shadow.promote", {"despite": despite})
    for name, text in cast("Mapping[str, str]", found["files"]).items():
        places[name].write_text(text, encoding="utf-8")
    if found["lock"] is not None:
        lock_path(policy).write_text(str(found["lock"]), encoding="utf-8")
    told = gateway.ask("reload", {})
    if told["pending"] is not None:
        typer.echo("it widens something, and waits: `bailiwick policy promote`, by somebody else")
    else:
        typer.echo(f"in force: {str(told['policy'])[:12]}")


def _say(found: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps(found["shadow"], indent=2, ensure_ascii=False))
        return
    shadow = found["shadow"]
    if not isinstance(shadow, dict):
        typer.echo("no policy runs in the shadow")
        return
    for line in _lines(shadow):
        typer.echo(line)


def _lines(shadow: Mapping[str, Json]) -> Iterator[str]:
    yield f"policy {str(shadow['version'])[:12]} in the shadow since {shadow['since']}, by {shadow['by']}"
    counts = cast("Mapping[str, int]", shadow.get("counts", {}))
    requests = shadow.get("requests", 0)
    yield f"{requests} requests, {counts.get('unchanged', 0)} decided the same; {shadow['behind']} records behind"
    for change in cast("list[Mapping[str, Json]]", shadow.get("changes", []))[:40]:
        actions = ", ".join(cast("list[str]", change["actions"])) or "no resource"
        yield f"  {change['kind']:<8} {change['count']:>6}x  {change['agent']}: {actions}  {change['why']}"
        for example in cast("list[Mapping[str, str]]", change["examples"])[:1]:
            yield f"           e.g. {example['record']}  {' '.join(example['asked'].split())[:100]}"
    yield "quiet: it can be promoted" if shadow["quiet"] else f"not quiet: {shadow['against']}"
