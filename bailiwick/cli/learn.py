"""`bailiwick learn`: propose the smallest policy that covers what an agent was seen to need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.learn_import import import_logs
from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace, elsewhere, opened

if TYPE_CHECKING:
    from bailiwick.learn.draft import Draft
    from bailiwick.learn.gathering import Gathered
    from bailiwick.learn.surroundings import Around
    from bailiwick.model.observation import Observation
    from bailiwick.model.policy import Policy
    from bailiwick.model.record import JsonValue

_longest_line = 16 * 1024 * 1024
app = typer.Typer(rich_markup_mode=None)
app.command("import")(import_logs)


@app.callback(invoke_without_command=True)
def learn(
    context: typer.Context,
    agent: Annotated[list[str] | None, typer.Option("--agent", metavar="A", help="The agent; may be repeated.")] = None,
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: RFC 3339, or `30d` for 30 days ago.")] = "",
    files: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE", help="Observations, one JSON a line; may be repeated."),
    ] = None,
    policy: Annotated[
        Path, typer.Option("--policy", metavar="PATH", help="The policy that has the mounts, a file or a folder.")
    ] = Path("policy.yaml"),
    ledger: LedgerPlace = DEFAULT,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for the drafts; it is made.")] = None,
    report: Annotated[Path | None, typer.Option("--report", metavar="FILE", help="HTML report to write.")] = None,
    split: Annotated[bool, typer.Option("--split", help="A draft for each job, as an agent of its own.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Propose the smallest policy that covers what was observed: from the ledger, or from files of observations.

    Nothing is put in force. With --out it can be checked, planned and served as a policy of its own.
    """
    if context.invoked_subcommand is not None:
        return
    import gc
    import json

    from bailiwick.learn.drafting import apart, checked, gathered_of
    from bailiwick.learn.propose import propose
    from bailiwick.learn.writing import write

    if not agent:
        raise typer.BadParameter("say which agent: `--agent A`")
    around = _around(policy)
    gc.freeze()
    gc.disable()  # what is read makes no cycles, and a million records a lot of work for the collector
    try:
        gathered = gathered_of(agent, _observations(files or [], ledger, since, around.policy))
        again = _observations(files or [], ledger, since, around.policy)
        parts = _parts(gathered, again, around) if split else {}
    finally:
        gc.enable()
    drafts = apart([draft for each in agent for draft in parts.get(each) or [propose(gathered[each], around)]])
    texts = {draft.agent: write(draft, around) for draft in drafts}
    findings = checked(_texts(policy, around), texts, around)
    if out is not None:
        _write_out(out, policy, texts, around)
    if report is not None:
        from bailiwick.learn.report import report as report_of

        made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        report.write_text(report_of(drafts, "\n".join(texts.values()), made), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([_as_json(draft) for draft in drafts], indent=2, ensure_ascii=False))
    elif out is None:
        typer.echo("\n".join(texts.values()))
    for draft in () if as_json else drafts:
        said = f"{len(draft.grants)} grants from {draft.calls} calls in {draft.sessions} sessions"
        rest = f"{len(draft.questions)} questions, {len(draft.kept_out)} sessions kept out"
        typer.echo(f"{draft.agent}: {said}; {rest}", err=True)
        if len(draft.jobs) > 1:
            typer.echo(f"{draft.agent}: {len(draft.jobs)} jobs; `--split` makes an agent of each", err=True)
    for finding in findings:
        typer.echo(f"lint: {finding}", err=True)


def _around(path: Path) -> Around:
    """Return what is known of the mounts; nothing where there is no policy."""
    from bailiwick.learn.surroundings import Around

    if not path.exists():
        return Around()
    from bailiwick.gateway.files import read_lock, read_policy
    from bailiwick.policy.load import load
    from bailiwick.policy.lockfile import parse_lock

    loaded = load(read_policy(path))
    if loaded.policy is None:
        from bailiwick.errors import PolicyError

        raise PolicyError(f"`{path}` is no valid policy", remedy=f"run `bailiwick policy check {path}`")
    text = read_lock(path)
    return Around(loaded.policy, None if text is None else parse_lock(text))


def _observations(files: Sequence[Path], ledger: str, since: str, policy: Policy | None) -> Iterator[Observation]:
    """Yield observations of the files that were named; where there are none, those of the ledger."""
    start = _start(since)
    for file in files:
        yield from (each for each in _of_file(file) if start is None or each.at >= start)
    if not files:
        yield from _of_ledger(ledger, start, policy)


def _start(since: str) -> datetime | None:
    from bailiwick.errors import ObservationError
    from bailiwick.gateway.moments import read_moment

    if not since:
        return None
    try:
        return read_moment(since, datetime.now(UTC))
    except ValueError:
        raise ObservationError(f"`{since}` is no moment", remedy="write `30d`, or `2026-01-31T12:00:00Z`") from None


def _of_file(path: Path) -> Iterator[Observation]:
    import orjson

    from bailiwick.errors import ObservationError
    from bailiwick.model.observation_json import from_json

    if not path.is_file():
        raise ObservationError(f"there is no file `{path}`", remedy="name one with an observation on each line")
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_longest_line), b""), 1):
            try:
                if len(line) >= _longest_line:
                    raise ObservationError("the line is too long")
                if line.strip():
                    yield from_json(orjson.loads(line))
            except (orjson.JSONDecodeError, ObservationError, RecursionError) as error:
                said = error.message if isinstance(error, ObservationError) else "no JSON, or nested too deeply"
                raise ObservationError(f"{path}:{number}: {said}", remedy="see docs/learn.md for the form") from None


def _of_ledger(ledger: str, start: datetime | None, policy: Policy | None) -> Iterator[Observation]:
    from bailiwick.learn.drafting import observed

    with closing(elsewhere() or opened(ledger)) as reader:
        yield from observed(reader.each, start, policy)


def _parts(
    gathered: dict[str, Gathered], observations: Iterator[Observation], around: Around
) -> dict[str, list[Draft]]:
    """Return a draft for each job of the agents that have several: what its sessions did alone, read once more."""
    from dataclasses import replace

    from bailiwick.learn.gathering import Gathering
    from bailiwick.learn.propose import propose, split

    jobs = {name: split(each, around) for name, each in gathered.items()}
    each = {(name, job): Gathering(name) for name, of in jobs.items() for job in sorted(set(of.values()))}
    for seen in observations:
        one = each.get((seen.agent, jobs.get(seen.agent, {}).get(seen.session or seen.record, "")))
        if one is not None:
            one.add(seen)
    found: dict[str, list[Draft]] = {}
    for (name, job), gathering in each.items():
        draft = propose(gathering.gathered, around)
        drafts = found.setdefault(name, [])
        own = f"{name[:24]}-{job[:24]}"
        if any(other.agent == own for other in drafts):
            own = f"{own}-{len(drafts)}"
        drafts.append(replace(draft, agent=own, part_of=name))
    for name, drafts in found.items():
        left = len(gathered[name].sessions) - len(jobs[name])
        typer.echo(f"{name}: {len(drafts)} jobs; {left} sessions belong to none of them", err=True)
    return found


def _texts(path: Path, around: Around) -> dict[str, str]:
    """Return the files of the policy that has the mounts; none where there is no policy."""
    if around.policy is None:
        return {}
    from bailiwick.gateway.files import read_policy

    return read_policy(path)


def _write_out(out: Path, path: Path, texts: dict[str, str], around: Around) -> None:
    """Write one file for each agent, and beside them the mounts and the lock, so that it is a policy of its own."""
    from bailiwick.gateway.files import lock_name, read_lock
    from bailiwick.learn.drafting import mounts_of

    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / f"{name}.yaml").write_text(text, encoding="utf-8")
    if around.policy is not None:
        (out / "mounts.yaml").write_text(mounts_of(_texts(path, around)), encoding="utf-8")
        lock = read_lock(path)
        if lock is not None:
            (out / lock_name).write_text(lock, encoding="utf-8")


def _as_json(draft: Draft) -> dict[str, JsonValue]:
    from bailiwick.learn.draft_json import draft_json

    return draft_json(draft)
