"""`bailiwick demo`: a scripted agent at a made-up support desk, told in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bailiwick.demo.agent import Outcome
    from bailiwick.demo.run import Kept, Result
    from bailiwick.demo.steps import Step
    from bailiwick.gateway.config import GatewayConfig
    from bailiwick.gateway.run import Front

app = typer.Typer()

_COLOURS = {
    "ALLOWED": "green",
    "MASKED": "cyan",
    "FILTERED": "blue",
    "DENIED": "red",
    "HELD": "yellow",
    "CUT": "magenta",
}


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, with a psql line to paste.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 if any step is not as expected.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Without colours.")] = False,
) -> None:
    """Run a scripted agent on a made-up support desk: PostgreSQL, SQLite, an MCP server, real clients."""
    from rich.console import Console

    console = Console(no_color=plain, force_terminal=False if plain else None, highlight=False, soft_wrap=True)
    result = _run(Story(console), keep=keep)
    _conclude(console, result)
    if check and not result.good:
        raise typer.Exit(1)


def _run(story: Story, *, keep: bool) -> Result:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="bailiwick-") as folder:
        Path(folder).chmod(0o755)  # the database's own user passes through; what is secret in it is closed to others
        return _until_told(Path(folder), story, keep=keep)


def _until_told(folder: Path, story: Story, *, keep: bool) -> Result:
    """Run the demonstration; Ctrl-C or SIGTERM ends the keeping."""
    import asyncio
    import signal

    from bailiwick.console.site import Console
    from bailiwick.control.front import ControlFront
    from bailiwick.demo.run import demonstrate
    from bailiwick.mounts.mcp.front import McpFront
    from bailiwick.mounts.postgres.front import PostgresFront
    from bailiwick.mounts.python.front import PythonFront
    from bailiwick.mounts.sql.front import SqlMounts

    def fronts(config: GatewayConfig) -> Sequence[Front]:
        postgres, databases = PostgresFront(config), SqlMounts(config)
        tools, control = McpFront(config, [postgres.questions, databases]), ControlFront(config, Console())
        return [postgres, databases, tools, PythonFront(config), control]

    async def run() -> Result:
        told = asyncio.Event() if keep else None
        if told is not None:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, told.set)
        return await demonstrate(folder, fronts, story, told)

    return asyncio.run(run())


class Story:
    """Tells the demonstration as it happens."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def progress(self, text: str) -> None:
        """Tell what has begun or is ready."""
        self._console.print(text, style="dim", markup=False)

    def did(self, number: int, step: Step, outcome: Outcome, wrong: str) -> None:
        """Tell one step: what was tried, what came of it, and why."""
        from rich.text import Text

        if step.chapter:
            self._console.print(f"\n{step.chapter}", style="bold", markup=False)
        self._console.print(
            Text.assemble(
                (f"{number:3} ", "dim"),
                (f"{step.shown:9}", f"bold {_COLOURS[step.shown]}"),
                step.title,
            )
        )
        self._line(step.sql, "italic")
        for line in _said(step, outcome):
            self._line(line, "dim")
        if wrong:
            self._line(f"NOT AS EXPECTED: {wrong}", "bold white on red")

    def kept(self, kept: Kept) -> None:
        """Tell how to go on by hand."""
        self._console.print("\nit goes on running; in another terminal:", style="bold", markup=False)
        self._line(kept.psql, "")
        self._line(f"bailiwick session list --policy {kept.policy}", "")
        self._line(f"bailiwick ledger tail --ledger {kept.ledger}", "")
        self._line(f"bailiwick matrix {kept.policy}", "")
        if kept.console:
            self._console.print("and the console, by a link that logs in once:", style="bold", markup=False)
            self._line(kept.console, "")
        self._console.print("Ctrl-C ends it and throws everything away", style="dim", markup=False)

    def _line(self, text: str, style: str) -> None:
        self._console.print(f"              {text}", style=style, markup=False)


def _said(step: Step, outcome: Outcome) -> list[str]:
    """Return what came of a step: the agent's view, then what the reader should notice."""
    from bailiwick.demo.steps import Cut, Done, Refused

    came = outcome.came
    if isinstance(came, Refused):
        lines = [f"{outcome.state} {came.code}: {outcome.message}".strip()]
        lines += [f"allowed: {outcome.allowed}"] if outcome.allowed else []
        lines += [f"hint: {outcome.remedy}"] if outcome.remedy else []
    elif isinstance(came, Cut):
        lines = [outcome.message]
    elif isinstance(came, Done):
        lines = [came.tag]
    else:
        shown = [f"{name}={value}" for name, value in came.first.items()]
        lines = [f"{came.count} row{'' if came.count == 1 else 's'}" + (f": {', '.join(shown)}" if shown else "")]
    return [_short(line) for line in lines] + ([f"-> {step.why}"] if step.why else [])


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 160 else text[:157] + "..."


def _conclude(console: Console, result: Result) -> None:
    ledger = result.ledger
    if ledger.sound:
        console.print(f"\nledger verified: {ledger.records} records, every one as it was signed", style="green")
    else:
        console.print("\nthe ledger does not verify:", style="bold red")
        for finding in ledger.findings:
            console.print(f"  {finding.kind}: {finding.text}", markup=False)
    if not result.clean:
        console.print("something that must not leak stands in the ledger", style="bold red")
    console.print(
        f"{result.expected} of {result.steps} steps as expected", style="bold green" if result.good else "bold red"
    )
