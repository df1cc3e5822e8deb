"""`bailiwick matrix`: what each agent may do with each resource, in words."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json
    from bailiwick.model.lock import Lock
    from bailiwick.model.policy import Policy
    from bailiwick.policy.matrix import Matrix

app = typer.Typer(rich_markup_mode=None)


class Form(Enum):
    """How the matrix is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    HTML = "html"
    JSON = "json"
    CSV = "csv"


@app.command()
def matrix(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The policy, a file or a folder.")] = Path("policy.yaml"),
    agent: Annotated[str | None, typer.Option(help="Only this agent.")] = None,
    task: Annotated[str | None, typer.Option(help="What is left in this task, for its agents.")] = None,
    resource: Annotated[str | None, typer.Option(help="Only this resource.")] = None,
    form: Annotated[Form, typer.Option("--format", help="How to print it.")] = Form.TABLE,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    live: Annotated[bool, typer.Option("--live", help="With elevations, without what lapsed.")] = False,
    config: Annotated[Path | None, typer.Option("--config", help="For --live: default gateway.yaml.")] = None,
) -> None:
    """Show what each agent may do with each resource, at most, in words.

    Columns are those of the `bailiwick.lock` beside the policy. Without a lock the columns that the policy names are
    taken to exist.
    """
    from bailiwick.cli.asking import remote

    elsewhere = remote()
    if elsewhere is not None:
        _of_elsewhere(elsewhere, {"agent": agent, "task": task, "resource": resource}, Form.JSON if as_json else form)
        return
    policy, lock = read(path)
    _check_names(policy, agent, task, resource)
    from bailiwick.policy.matrix import matrix as matrix_of

    elevated, notes = _elevated(path, config, policy) if live else ({}, ())
    if live:
        policy, off = _without_lapsed(path, config, policy)
        notes = (*notes, *off)
    found = matrix_of(policy, lock, agent=agent, task=task, resource=resource, elevated=elevated)
    found = replace(found, notes=(*found.notes, *notes))
    chosen = Form.JSON if as_json else form
    if chosen is Form.TABLE:
        _print_table(found)
        return
    from bailiwick.policy.matrix_formats import render

    typer.echo(render(found, chosen.value), nl=False)


def _of_elsewhere(client: AdminClient, names: Mapping[str, Json], form: Form) -> None:
    """Print the matrix of the policy in force at a gateway elsewhere."""
    import json
    from typing import cast

    from bailiwick.errors import PolicyError
    from bailiwick.policy.matrix import Cell, Matrix

    told = cast("Mapping[str, object]", client.ask("policy.matrix", names)["matrix"])
    if form is Form.JSON:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    if form is not Form.TABLE:
        raise PolicyError("of a gateway elsewhere there is a table, or JSON", remedy="leave `--format` out")
    cells = [
        Cell(
            str(each["agent"]),
            str(each["resource"]),
            _texts(each["verbs"]),
            _texts(each["words"]),
            None,
            str(each["short"]),
        )
        for each in cast("Sequence[Mapping[str, object]]", told["cells"])
    ]
    task = told["task"]
    agents = tuple(dict.fromkeys(cell.agent for cell in cells))
    resources = tuple(dict.fromkeys(cell.resource for cell in cells))
    notes = _texts(told["notes"])
    _print_table(Matrix(None if task is None else str(task), agents, resources, tuple(cells), notes))


def _texts(found: object) -> tuple[str, ...]:
    from typing import cast

    return tuple(cast("Sequence[str]", found))


def read(path: Path) -> tuple[Policy, Lock | None]:
    """Return the policy and the lock beside it; raise PolicyError naming the first problem."""
    from bailiwick.errors import PolicyError
    from bailiwick.gateway.files import read_lock, read_policy
    from bailiwick.policy.load import load
    from bailiwick.policy.lockfile import parse_lock

    loaded = load(read_policy(path))
    if loaded.policy is None:
        first = next(problem for problem in loaded.problems if problem.severity == "error")
        raise PolicyError(str(first), remedy="`bailiwick policy check` lists every problem")
    text = read_lock(path)
    return loaded.policy, None if text is None else parse_lock(text)


def _elevated(path: Path, config: Path | None, policy: Policy) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the elevations in force at the gateway that runs, by agent, and what to know about them."""
    from bailiwick.cli.suspensions import client

    asking = client(path, config)
    in_force = cast("Sequence[Mapping[str, str | None]]", asking.ask("elevation.list", {})["in_force"])
    found: dict[str, list[str]] = {}
    notes: list[str] = []
    for each in in_force:
        found.setdefault(str(each["agent"]), []).append(str(each["elevation"]))
        whose = f"its session {each['session']}" if each["session"] else "all its sessions"
        notes.append(f"{each['agent']} has elevation {each['elevation']} in {whose} until {each['ends_at']}")
    if asking.ask("status", {})["policy"] != policy.version:
        notes.append("the policy in force at the gateway is another one")
    return found, tuple(notes)


def _without_lapsed(path: Path, config: Path | None, policy: Policy) -> tuple[Policy, tuple[str, ...]]:
    """Return the policy without the grants that are turned off at the gateway that runs, and what to know of them."""
    from bailiwick.cli.suspensions import client

    found = cast("Sequence[Mapping[str, Json]]", client(path, config).ask("review.status", {})["agents"])
    off = {str(each["agent"]): frozenset(_texts(each["off"])) for each in found if each["off"]}
    notes = (
        f"{agent}: {len(grants)} grants are turned off, since its review is overdue" for agent, grants in off.items()
    )
    return replace(policy, lapsed=off), tuple(notes)


def _check_names(policy: Policy, agent: str | None, task: str | None, resource: str | None) -> None:
    """Refuse names that the policy does not know: an empty matrix would look like an answer."""
    from bailiwick.errors import PolicyError
    from bailiwick.policy.problem import near

    every = (*policy.mounts.values(), *policy.tool_mounts.values())
    resources = [name for mount in every for name in mount.resources]
    given: Iterable[tuple[str, str | None, Iterable[str]]] = (
        ("agent", agent, policy.agents),
        ("task", task, policy.tasks),
        ("resource", resource, resources),
    )
    for what, name, known in given:
        if name is not None and name not in known:
            raise PolicyError(f"the policy has no {what} `{name}`", remedy=near(name, list(known)))
    if agent is not None and task is not None and agent not in policy.tasks[task].agents:
        raise PolicyError(f"task `{task}` is not one of agent `{agent}`", remedy="name another agent or task")


def _print_table(found: Matrix) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if len(found.agents) > 1:
        overview = Table("agent", *(name.replace("_", " ") for name in found.resources), show_lines=True)
        for agent in found.agents:
            cells = [cell.short for cell in found.cells if cell.agent == agent]
            overview.add_row(Text(agent), *(Text(cell, style="dim" if cell == "none" else "") for cell in cells))
        console.print(overview)
    for agent in found.agents:
        title = Text(agent if found.task is None else f"{agent} in task {found.task}", style="bold")
        table = Table("resource", "may", "in detail", title=title, title_justify="left", show_lines=True, expand=True)
        for cell in found.cells:
            if cell.agent == agent:
                verbs = Text(", ".join(cell.verbs) or "nothing", style="green" if cell.verbs else "dim")
                table.add_row(Text(cell.resource), verbs, Text("\n".join(cell.words)))
        console.print(table)
    for note in found.notes:
        console.print(Text(f"note: {note}", style="yellow"))
