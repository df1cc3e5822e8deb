"""The verification of a ledger's file on the gateway's own machine, by the keys that are beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from bailiwick.errors import LedgerError
from bailiwick.gateway.ledger.reader import LedgerReader
from bailiwick.gateway.ledger.signing import read_ledger_keys
from bailiwick.gateway.ledger.timestamps import Stamped
from bailiwick.ledger.checkpoint import Consistency, Signer, VerifierKey, parse_verifier_keys
from bailiwick.ledger.report import Finding, Report
from bailiwick.ledger.verify import verify


def verified(reader: LedgerReader, folder: Path, notes: Sequence[str]) -> dict[str, object]:
    """Return what was found, as JSON, with the key that it was checked by. Raises LedgerError.

    `folder` is the gateway's own, with its keys.
    """
    keys = keys_beside(folder)
    report = verify(reader.begin_evidence(), keys, list(notes), signers_of(folder, keys))
    return {"key": str(keys[0]), **report_told(report)}


def keys_beside(folder: Path) -> tuple[VerifierKey, ...]:
    """Return the verifier keys in the gateway's own folder, the newest first. Raises LedgerError."""
    path = folder / "ledger.vkey"
    try:
        keys = parse_verifier_keys(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        keys = ()
    if not keys:
        raise LedgerError(f"`{path}` holds no verifier key", remedy="a key looks like `name+hash+base64`")
    return keys


def signers_of(folder: Path, verifiers: Sequence[VerifierKey]) -> tuple[Signer, ...]:
    """Return the signers whose keys are beside the ledger, as on the gateway's own machine, if they are trusted."""
    keys = read_ledger_keys(folder)
    found = () if keys is None else tuple(Signer(verifiers[0].name, key) for key in keys.signing)
    return found if any(signer.verifier in verifiers for signer in found) else ()


def with_stamps(told: Mapping[str, object], stamped: Stamped) -> dict[str, object]:
    """Return a report with what the time-stamps say."""
    findings = [*cast("Sequence[object]", told["findings"]), *map(_finding_told, stamped.findings)]
    newest = None if stamped.newest is None else stamped.newest.isoformat()
    stamps = {"valid": len(stamped.notes), "newest": newest, "size": stamped.size}
    return {**told, "ok": told["ok"] is True and not stamped.findings, "findings": findings, "timestamps": stamps}


def _finding_told(finding: Finding) -> dict[str, object]:
    return {"kind": finding.kind, "first": finding.first, "last": finding.last, "text": finding.text}


def growth_told(proof: Consistency) -> dict[str, object]:
    """Return the proof that a ledger only grew, as JSON."""
    path = [node.hex() for node in proof.path]
    return {"proof": proof.text(), "old": proof.old, "path": path, "checkpoint": proof.note}


def report_told(report: Report) -> dict[str, object]:
    """Return a report as JSON."""
    findings = [_finding_told(each) for each in report.findings]
    return {
        "ok": report.sound,
        "records": report.records,
        "size": report.size,
        "root": None if report.root is None else report.root.hex(),
        "checkpoints": report.checkpoints,
        "findings": findings,
    }
