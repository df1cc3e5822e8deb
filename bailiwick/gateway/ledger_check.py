"""The verification of a ledger's file on the gateway's own machine, by the keys that are beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bailiwick.errors import LedgerError
from bailiwick.gateway.keys import read_signing_key
from bailiwick.gateway.ledger_reader import LedgerReader
from bailiwick.ledger.checkpoint import Signer, VerifierKey, parse_verifier_key
from bailiwick.ledger.report import Report
from bailiwick.ledger.verify import verify


def verified(reader: LedgerReader, ledger: Path, notes: Sequence[str]) -> dict[str, object]:
    """Return what was found, as JSON, with the key that it was checked by. Raises LedgerError."""
    path = ledger.with_name("ledger.vkey")
    try:
        key = parse_verifier_key(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        key = None
    if key is None:
        raise LedgerError(f"`{path}` holds no verifier key", remedy="a key looks like `name+hash+base64`")
    report = verify(reader.begin_evidence(), key, list(notes), signer_of(ledger, key))
    return {"key": str(key), **report_told(report)}


def signer_of(ledger: Path, verifier: VerifierKey) -> Signer | None:
    """Return the signer whose key is beside the ledger, as it is on the gateway's own machine; else None."""
    key = read_signing_key(ledger.parent)
    signer = None if key is None else Signer(verifier.name, key)
    return signer if signer is not None and signer.verifier == verifier else None


def report_told(report: Report) -> dict[str, object]:
    """Return a report as JSON."""
    findings = [
        {"kind": finding.kind, "first": finding.first, "last": finding.last, "text": finding.text}
        for finding in report.findings
    ]
    return {
        "ok": report.sound,
        "records": report.records,
        "size": report.size,
        "root": None if report.root is None else report.root.hex(),
        "checkpoints": report.checkpoints,
        "findings": findings,
    }
