"""`bailiwick policy test`: cases (who asks for what → decision) against a policy, and cases from the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.control.testing import CaseResult
    from bailiwick.policy.cases import Case


def run_cases(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files of cases; of a folder every *.yaml.")
    ] = None,
    path: Annotated[Path, typer.Option("--policy", help="The policy, a file or a folder.")] = Path("policy.yaml"),
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit's XML, too.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of files of cases.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Print cases from the ledger's requests instead.")] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="With --record: requests from then on.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="With --record: at most so many cases.")] = 100,
    ledger: LedgerPlace = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the cases of FILEs against a policy and its lock; no database is asked. Exit code 1 when one fails."""
    import json

    from bailiwick.cli.policy_plan import side_at
    from bailiwick.control.testing import as_json as told_as_json
    from bailiwick.control.testing import junit as junit_of
    from bailiwick.control.testing import results_of
    from bailiwick.policy.cases import cases_schema

    if schema:
        typer.echo(json.dumps(cases_schema(), indent=2))
        return
    side = side_at(path)
    if record:
        _record(path, ledger, since, most)
        return
    if not files:
        raise typer.BadParameter("name a file of cases", param_hint="FILE")
    found = list(results_of(side.policy, side.lock, _cases(files)))
    failed = [each for each in found if each.wrong]
    if junit is not None:
        junit.write_text(junit_of("bailiwick policy test", found), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([told_as_json(each) for each in found], indent=2, ensure_ascii=False))
    else:
        _print(failed)
        typer.echo(f"{len(found) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def _cases(files: Sequence[Path]) -> list[Case]:
    """Return the cases of all files; with problems, list them and exit with 2."""
    from bailiwick.gateway.files import read_policy
    from bailiwick.policy.cases import read_cases

    found: list[Case] = []
    problems = 0
    for path in files:
        for name, text in read_policy(path).items():
            cases, wrong = read_cases(name, text)
            for each in wrong:
                typer.echo(str(each), err=True)
            problems += len(wrong)
            found += cases
    if problems:
        raise typer.Exit(2)
    return found


def _print(failed: Sequence[CaseResult]) -> None:
    from bailiwick.cli.explain import explanation

    for each in failed:
        at = each.case.position
        typer.echo(f"FAILED {at.file}:{at.line} {each.case.name}")
        for line in each.wrong:
            typer.echo(f"  {line}")
        typer.echo(f"  got {each.got}")
        for told in each.told:
            for title, line in explanation(told):
                typer.echo(f"    {title:<10} {line}")


def _record(path: Path, ledger: str, since: str, most: int) -> None:
    from bailiwick.cli.policy_plan import gathered_at, side_at
    from bailiwick.control.recording import recorded_cases

    side = side_at(path)
    gathered = gathered_at(ledger, since)
    text, left = recorded_cases(side.policy, side.lock, list(gathered.groups.values()), most)
    typer.echo(text, nl=False)
    if left:
        typer.echo(
            f"{left} different requests are left out: their records do not tell enough to decide again", err=True
        )
