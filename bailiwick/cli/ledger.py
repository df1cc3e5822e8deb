"""`bailiwick ledger`: read, query and verify the audit ledger, and prove records. Works while the gateway runs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli import ledger_export, ledger_findings, ledger_keeping, ledger_report, ledger_sinks
from bailiwick.cli.ledger_option import DEFAULT, LedgerPlace, beside, opened
from bailiwick.cli.ledger_option import elsewhere as elsewhere_ledger
from bailiwick.errors import LedgerError

if TYPE_CHECKING:
    from bailiwick.control.remote_ledger import RemoteLedger
    from bailiwick.gateway.ledger.reader import LedgerReader, Stored
    from bailiwick.gateway.ledger.timestamps import Stamped
    from bailiwick.ledger.checkpoint import VerifierKey

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(ledger_keeping.app)
app.add_typer(ledger_export.app)
app.add_typer(ledger_report.app)
app.add_typer(ledger_report.report_app, name="report")
app.add_typer(ledger_sinks.app, name="sinks")
app.add_typer(ledger_findings.app)

_POLL = 0.3

Key = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="Verifier key, or a file with some; may be repeated. Default: `ledger.vkey` beside the file.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_POLICY = Path("policy.yaml")


@contextmanager
def _reading(place: str) -> Generator[LedgerReader | RemoteLedger]:
    reader = elsewhere_ledger() or opened(place)
    try:
        yield reader
    finally:
        reader.close()


@app.command()
def tail(
    ledger: LedgerPlace = DEFAULT,
    number: Annotated[int, typer.Option("-n", min=0, help="How many records.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new records until interrupted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the newest records."""
    import time

    from bailiwick.gateway.ledger.reader import Query

    with _reading(ledger) as reader:
        newest = reader.query(Query(limit=1))
        last = newest[-1].seq if newest else -1
        _print(reader.query(Query(limit=number)) if number else [], as_json=as_json)
        while follow:
            try:
                time.sleep(_POLL)
            except KeyboardInterrupt:
                return
            found = reader.query(Query(after=last, limit=10_000))
            if found:
                last = found[-1].seq
                _print(found, as_json=as_json, header=False)


@app.command()
def query(
    wanted: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="E.g. 'decision:deny resource:billing rows>100'; see --help.")
    ] = "",
    ledger: LedgerPlace = DEFAULT,
    agent: Annotated[str, typer.Option(help="Agent.")] = "",
    user: Annotated[str, typer.Option(help="Person for whom it was done.")] = "",
    session: Annotated[str, typer.Option(help="Session id.")] = "",
    task: Annotated[str, typer.Option(help="Task.")] = "",
    resource: Annotated[str, typer.Option(help="Resource that was touched.")] = "",
    action: Annotated[str, typer.Option(help="Action, `resource:verb`.")] = "",
    decision: Annotated[str, typer.Option(help="allow, deny or hold.")] = "",
    code: Annotated[str, typer.Option(help="Denial code or SQLSTATE.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of record, e.g. call, intent, session.opened.")] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="From then on: RFC 3339, or `2h` for two hours ago.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Before then.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 100,
    value: Annotated[
        str, typer.Option(metavar="VALUE", help="Only what was done with this value, which no record holds in clear.")
    ] = "",
    saved: Annotated[str, typer.Option(metavar="NAME", help="Also the filter of this search of gateway.yaml.")] = "",
    policy: Annotated[Path, typer.Option("--policy", help="The policy beside gateway.yaml.")] = _POLICY,
    as_json: AsJson = False,
) -> None:
    """Find records; all conditions must hold.

    A filter has tests like `agent:support-*`, `code!=session`, `rows>=1000`, `at>=2h`, `detail.peer:10.*`, a list
    (`kind:login,logout`), words that stand anywhere, and `or`, `not` and parentheses.
    """
    from bailiwick.gateway.ledger.reader import Query

    asked = Query(
        filter=_with_saved(wanted, saved, policy),
        agent=agent,
        user=user,
        session=session,
        task=task,
        resource=resource,
        action=action,
        decision=_known(decision),
        code=code,
        kind=kind,
        since=_moment(since),
        until=_moment(until),
        holding=_digests(value, policy) if value else frozenset(),
        limit=limit,
    )
    if value and (elsewhere_ledger() is not None or not asked.holding):
        raise LedgerError(
            "nobody has digests of this value here", remedy="ask beside the gateway that wrote the ledger"
        )
    with _reading(ledger) as reader:
        _print(reader.query(asked), as_json=as_json)


def _digests(value: str, policy: Path) -> frozenset[bytes]:
    """Return how a value may stand in records, as the gateway knows that has the keys; that it was asked is on record.

    Files that are written stand there by the SHA-256 of their content.
    """
    import hashlib
    from typing import cast

    from bailiwick.cli.suspensions import client

    desk, content = client(policy, None), hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
    told = [desk.ask("ledger.digests", {"value": each, "person": None})["digests"] for each in (value, content)]
    return frozenset(each.encode() for found in told for each in cast("list[str]", found))


@app.command()
def show(
    record: Annotated[str, typer.Argument(metavar="ID", help="Id or sequence number of a record.")],
    ledger: LedgerPlace = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Print one record in full, with the intent or outcome that belongs to it."""
    from bailiwick.cli.ledger_view import document_of, print_lines, print_record
    from bailiwick.gateway.ledger.reader import Query

    with _reading(ledger) as reader:
        stored = _find(reader, record)
        document = document_of(stored)
        own, intent = document.get("id"), document.get("refers")
        related = reader.query(Query(refers=own)) if isinstance(own, str) and own else []
        if isinstance(intent, str) and intent:
            related = [*reader.query(Query(id=intent)), *related]
    if as_json:
        print_lines([stored])
    else:
        print_record(stored, related)


@app.command()
def verify(
    ledger: LedgerPlace = DEFAULT,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that was kept elsewhere. May be repeated."),
    ] = None,
    at: Annotated[
        str, typer.Argument(metavar="PLACE", help="An export or an archive (folder, `s3://…`). Default: --ledger.")
    ] = "",
    key: Key = None,
    tsa: Annotated[
        Path | None,
        typer.Option("--tsa", metavar="FILE", help="Check the time-stamps too: certificates (PEM) of who is trusted."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare the file's own indexes too where it has over a million records.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Recompute everything from the stored bytes; exit 1 if anything is not as it was signed."""
    import json

    from bailiwick.cli.ledger_view import print_report

    notes = [_read(path) for path in checkpoint or []]
    elsewhere = elsewhere_ledger()
    stamped = _stamped(at or ledger, tsa) if tsa is not None else None
    notes += stamped.notes if stamped is not None else ()
    told = _verified(at or ledger, key, notes, deep=deep) if at or elsewhere is None else elsewhere.verified(notes)
    verifier = told["key"]
    if stamped is not None:
        from bailiwick.gateway.ledger.check import with_stamps

        told = with_stamps(told, stamped)
    if as_json:
        typer.echo(
            json.dumps({name: value for name, value in told.items() if name != "key"}, indent=2, ensure_ascii=False)
        )
    else:
        typer.echo(f"key {verifier}")
        print_report(told)
        if not notes:
            typer.echo("give --checkpoint FILE, kept elsewhere, to see also whether the whole file was taken back")
    if told["ok"] is not True:
        raise typer.Exit(1)


def _stamped(place: str, roots: Path) -> Stamped:
    from bailiwick.gateway.backends.places import Place
    from bailiwick.gateway.ledger.timestamps import NAME, stamps_in, verified_stamps

    try:
        trusted = roots.read_bytes()
    except OSError as error:
        raise LedgerError(f"`{roots}` cannot be read: {error.strerror}", remedy="name a PEM file") from None
    folder = Place(place if _is_folder(place) else str(beside(place).absolute()))
    if NAME not in folder.names():
        raise LedgerError(f"`{place}` has no time-stamps", remedy="see `bailiwick ledger timestamp`")
    with folder.reading(NAME) as file:
        return verified_stamps(stamps_in([line.rstrip(b"\n") for line in file]), trusted)


def _is_folder(place: str) -> bool:
    """Tell an export or an archive from a ledger."""
    return ("://" in place and not place.startswith(("postgres://", "postgresql://"))) or Path(place).is_dir()


def _verified(place: str, key: Sequence[str] | None, notes: Sequence[str], *, deep: bool) -> Mapping[str, object]:
    from dataclasses import replace

    from bailiwick.gateway.backends.places import Place
    from bailiwick.gateway.ledger.bundle import verified_bundle
    from bailiwick.gateway.ledger.check import report_told, signers_of
    from bailiwick.gateway.ledger.parquet import can_compare, parquet_findings
    from bailiwick.ledger.verify import verify as verify_evidence

    if _is_folder(place):
        inside = Path(place) / "ledger.vkey"
        verifiers = keys_of(key or ([str(inside)] if inside.is_file() else None), place)
        report = verified_bundle(Place(place), verifiers, notes)
        if can_compare():
            report = replace(report, findings=(*report.findings, *parquet_findings(Place(place))))
        else:
            typer.echo("Parquet files were not compared: that takes `bailiwick[duckdb]`", err=True)
        return {"key": str(verifiers[0]), **report_told(report)}
    verifiers = keys_of(key, place)
    with closing(opened(place)) as reader:
        evidence = reader.begin_evidence(deep=deep)
        report = verify_evidence(evidence, verifiers, notes, signers_of(beside(place), verifiers))
    return {"key": str(verifiers[0]), **report_told(report)}


@app.command()
def prove(
    record: Annotated[str, typer.Argument(metavar="ID", help="Id or sequence number of a record.")] = "",
    ledger: LedgerPlace = DEFAULT,
    key: Key = None,
    since: Annotated[
        int | None,
        typer.Option("--from", metavar="SIZE", min=0, help="Instead: that the ledger of so many records only grew."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the proof that a record is in the ledger, as a C2SP tlog-proof; it needs no ledger to be checked."""
    import base64
    import json

    from bailiwick.ledger.checkpoint import open_checkpoint
    from bailiwick.ledger.merkle import leaf_hash, verify_inclusion

    elsewhere = elsewhere_ledger()
    if (since is None) == (not record):
        raise typer.BadParameter("name a record, or a size with --from")
    if since is not None:
        _prove_growth(ledger, since, as_json=as_json)
        return
    if elsewhere is not None:
        text = elsewhere.proof(record)
        typer.echo(json.dumps({"proof": text}) if as_json else text, nl=as_json)
        return
    verifiers = keys_of(key, ledger)
    with closing(opened(ledger)) as reader:
        stored = _find(reader, record)
        proof = reader.prove(stored.seq)
    head = open_checkpoint(proof.note, *verifiers)
    leaf = leaf_hash(stored.body)
    if head is None or not verify_inclusion(leaf, stored.seq, head.size, proof.path, head.root):
        raise LedgerError(f"record `{record}` is not what was signed", remedy="run `bailiwick ledger verify`")
    if not as_json:
        typer.echo(proof.text(), nl=False)
        return
    document = {
        "index": proof.index,
        "size": head.size,
        "root": head.root.hex(),
        "leaf": leaf.hex(),
        "path": [node.hex() for node in proof.path],
        "checkpoint": proof.note,
        "key": str(verifiers[0]),
        "record": base64.b64encode(stored.body).decode(),
    }
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _prove_growth(ledger: str, size: int, *, as_json: bool) -> None:
    import json

    from bailiwick.gateway.ledger.check import growth_told

    elsewhere = elsewhere_ledger()
    if elsewhere is not None:
        told: Mapping[str, object] = elsewhere.growth(size)
    else:
        with closing(opened(ledger)) as reader:
            told = growth_told(reader.prove_growth(size))
    if as_json:
        typer.echo(json.dumps({name: told[name] for name in ("old", "path", "checkpoint")}, indent=2))
    else:
        typer.echo(told["proof"], nl=False)


@app.command()
def checkpoint(ledger: LedgerPlace = DEFAULT) -> None:
    """Print the current signed checkpoint, to be kept elsewhere for `verify --checkpoint`."""
    with _reading(ledger) as reader:
        typer.echo(reader.checkpoint(), nl=False)


@app.command()
def key(ledger: LedgerPlace = DEFAULT, key: Key = None) -> None:
    """Print the verifier keys, the newest first, to be kept elsewhere for `verify --key`."""
    elsewhere = elsewhere_ledger()
    known = None if elsewhere is None or key else elsewhere.keys()
    for each in known or keys_of(key, ledger):
        typer.echo(str(each))


@app.command()
def searches(
    policy: Annotated[Path, typer.Option("--policy", help="The policy beside gateway.yaml.")] = _POLICY,
    as_json: AsJson = False,
) -> None:
    """List the searches that are saved in gateway.yaml, and when they tell people."""
    import json

    found = _saved(policy)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for each in found:
        alert = cast("Mapping[str, object] | None", each["alert"])
        of = f" of one {alert['each']}" if alert is not None and alert["each"] else ""
        within = None if alert is None else timedelta(seconds=cast("float", alert["seconds"]))
        told = "" if alert is None else f"   (told at {alert['count']}{of} within {within})"
        typer.echo(f"{each['name']}: {each['filter']}{told}")
    if not found:
        typer.echo("no search is saved; write `searches: {NAME: {filter: …}}` into gateway.yaml")


def _saved(policy: Path) -> Sequence[Mapping[str, object]]:
    """Return the searches of gateway.yaml, there where the gateway is."""
    elsewhere = elsewhere_ledger()
    if elsewhere is not None:
        return elsewhere.searches()
    import os

    from bailiwick.gateway.config import load_config
    from bailiwick.gateway.ledger.searches import search_told

    return [search_told(each) for each in load_config(policy, os.environ).searches.values()]


def _with_saved(wanted: str, name: str, policy: Path) -> str:
    if not name:
        return wanted
    known = {str(each["name"]): str(each["filter"]) for each in _saved(policy)}
    if name not in known:
        raise LedgerError(f"there is no search `{name}`", remedy="`bailiwick ledger searches` lists them")
    return f"({known[name]}) ({wanted})" if wanted else known[name]


def _print(records: list[Stored], *, as_json: bool, header: bool = True) -> None:
    from bailiwick.cli.ledger_view import print_lines, print_table

    if as_json:
        print_lines(records)
    else:
        print_table(records, header=header)


def _find(reader: LedgerReader | RemoteLedger, name: str) -> Stored:
    from bailiwick.gateway.ledger.reader import Query

    if name.isascii() and name.isdigit() and len(name) < 19:
        found = reader.at(int(name))
    else:
        found = next(iter(reader.query(Query(id=name, limit=1))), None)
    if found is None:
        raise LedgerError(f"there is no record `{name}`", remedy="find it with `bailiwick ledger query`")
    return found


def keys_of(given: Sequence[str] | None, ledger: str) -> tuple[VerifierKey, ...]:
    """Return the verifier keys given as themselves or as files' names, or those beside the ledger."""
    from bailiwick.ledger.checkpoint import parse_verifier_keys

    found: list[VerifierKey] = []
    for text in given or [str(beside(ledger) / "ledger.vkey")]:
        keys = parse_verifier_keys(text) or parse_verifier_keys(_read(Path(text)))
        if not keys:
            raise LedgerError(f"`{text}` holds no verifier key", remedy="a key looks like `name+hash+base64`")
        found += keys
    if len({key.name for key in found}) > 1:
        raise LedgerError("the keys are those of different ledgers", remedy="give the keys of one")
    return tuple(found)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise LedgerError(f"cannot read `{path}`: {reason.lower()}", remedy="check the path") from error


def _known(decision: str) -> str:
    if decision not in ("", "allow", "deny", "hold"):
        raise typer.BadParameter(f"`{decision}` is none of allow, deny, hold")
    return decision


def _moment(text: str) -> datetime | None:
    """Read a moment: RFC 3339 (without a zone: UTC), a date, or a span before now."""
    from bailiwick.gateway.moments import read_moment

    try:
        return read_moment(text, datetime.now(UTC)) if text else None
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"`{text}` is no time; write `2026-11-22T08:00:00Z`, `2026-11-22` or `2h`") from error
