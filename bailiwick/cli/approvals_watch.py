"""`bailiwick approvals watch`: what begins to wait, as it does, and on a terminal the question what to do with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import typer

from bailiwick.cli.approvals_shown import lines_of, plain
from bailiwick.errors import BailiwickError

if TYPE_CHECKING:
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json

_question = "approve (a), deny (d), ask back (q), later (l)"


def watched(client: AdminClient, *, as_json: bool) -> None:
    """Show approvals until interrupted."""
    seen: Json = None
    known: dict[str, Json] = {}
    asking = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    while True:
        found = client.ask("approval.watch", {"seen": seen})
        seen = found["seen"]
        waiting = cast("Sequence[Mapping[str, Json]]", found["approvals"])
        fresh = [each for each in waiting if known.get(cast("str", each["id"])) != each["state"]]
        gone = known.keys() - {cast("str", each["id"]) for each in waiting}
        known = {cast("str", each["id"]): each["state"] for each in waiting}
        for each in reversed(fresh):
            _tell(client, each, asking=asking, as_json=as_json)
        for approval in sorted(gone):
            _over(client, approval, as_json=as_json)


def _tell(client: AdminClient, found: Mapping[str, Json], *, asking: bool, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
    elif asking and found["state"] == "PENDING":
        _decide(client, cast("str", found["id"]))
    else:
        typer.echo(_line(found))


def _over(client: AdminClient, approval: str, *, as_json: bool) -> None:
    found = _shown(client, approval)
    if as_json:
        typer.echo(json.dumps({name: found[name] for name in ("id", "state", "agent", "actions", "gates")}))
    else:
        typer.echo(_line(found))


def _decide(client: AdminClient, approval: str) -> None:
    """Show one and ask what to do with it. What cannot be done is said, and it goes on."""
    found = _shown(client, approval)
    typer.echo("")
    for line in lines_of(found):
        typer.echo(line)
    if not found["yours"]:
        return
    answer = typer.prompt(_question, default="l").strip().lower()[:1]
    try:
        if answer == "a":
            client.ask("approval.approve", {"approval": approval, "digest": found["digest"]})
        elif answer == "d":
            client.ask("approval.deny", {"approval": approval, "reason": typer.prompt("why")})
        elif answer == "q":
            client.ask("approval.ask", {"approval": approval, "text": typer.prompt("what do you want to know")})
    except BailiwickError as error:
        typer.echo(f"{error.message}; {error.remedy}" if error.remedy else error.message)


def _shown(client: AdminClient, approval: str) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", client.ask("approval.show", {"approval": approval})["approval"])


def _line(found: Mapping[str, Json]) -> str:
    actions = ", ".join(cast("list[str]", found["actions"]))
    gates = ", ".join(cast("list[str]", found["gates"]))
    return plain(f"{found['id']} {found['state']} {found['agent']}: {actions} (gate {gates})")
