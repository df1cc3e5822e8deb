"""The files of an installation: who can read and who can change them, and whether its keys are keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning
from bailiwick.gateway.files import lock_path
from bailiwick.gateway.keys import read_signing_key
from bailiwick.gateway.ledger.journal import journal_of

_MASK_KEY_BYTES = 32


def file_findings(policy: Path, gateway_yaml: Path, config: GatewayConfig) -> Iterator[Finding]:
    """Yield what is to be said of the data folder, what is in it, and the files that steer the gateway."""
    yield from _data_findings(config)
    texts = sorted(policy.glob("*.yaml")) if policy.is_dir() else [policy]
    for path in dict.fromkeys([*texts, lock_path(policy), gateway_yaml]):
        if path.exists():
            yield _steering(path)


def secret_file_findings(paths: Iterable[Path]) -> Iterator[Finding]:
    """Yield what is to be said of files that the policy's `file:` references name."""
    for path in paths:
        if path.exists():
            yield _private("secrets", path)
        else:
            yield problem("secrets", f"the secret file `{path}` does not exist", "create it, mode 0600")


def _data_findings(config: GatewayConfig) -> Iterator[Finding]:
    folder = config.data_dir
    if not folder.is_dir():
        yield warning(
            "files", f"there is no data folder `{folder}` yet", "`bailiwick serve` makes it at its first start"
        )
        return
    yield _private("files", folder)
    files = [config.state_file, *([config.ledger] if isinstance(config.ledger, Path) else [])]
    kept = [*files, *(journal_of(path) for path in files[1:])]
    kept += [path.with_name(path.name + suffix) for path in files for suffix in ("-wal", "-shm")]
    for path in (*kept, config.admin_socket):
        if path.exists():
            yield _private("files", path)
    used = any(path.exists() for path in files)
    for name in ("signing.key", "mask.key"):
        yield _key(folder / name, used=used)


def _key(path: Path, *, used: bool) -> Finding:
    if not path.exists():
        if used:
            remedy = (
                "restore it from a backup; a new one ends every session, and older signatures or hashes stay behind"
            )
            return problem("keys", f"the key `{path}` is missing beside data that was made with it", remedy)
        return warning("keys", f"there is no key `{path}` yet", "`bailiwick serve` makes it at its first start")
    found = _private("keys", path)
    if found.level == "ok" and not _is_key(path):
        return problem("keys", f"`{path}` is not a key of this gateway, or cannot be read", "restore it from a backup")
    return found


def _is_key(path: Path) -> bool:
    if path.name == "signing.key":
        return read_signing_key(path.parent) is not None
    try:
        return len(path.read_bytes()) == _MASK_KEY_BYTES
    except OSError:
        return False


def _private(check: str, path: Path) -> Finding:
    """Return whether only the owner can read a file or enter a folder, and whether the owner is who runs this."""
    facts = path.stat()
    mode = stat.S_IMODE(facts.st_mode)
    if mode & 0o077:
        fit = 0o700 if stat.S_ISDIR(facts.st_mode) else 0o600
        return problem(check, f"`{path}` is open to others (mode {mode:04o})", f"run `chmod {fit:o} {path}`")
    if facts.st_uid != os.geteuid():
        return warning(check, f"`{path}` belongs to another user", "run this, and the gateway, as its owner")
    return ok(check, f"`{path}` is its owner's alone")


def _steering(path: Path) -> Finding:
    """Return whether others could change a file that says what agents may do."""
    mode = stat.S_IMODE(path.stat().st_mode)
    above = stat.S_IMODE(path.absolute().parent.stat().st_mode)
    if mode & stat.S_IWOTH:
        return problem("files", f"everybody can change `{path}` (mode {mode:04o})", f"run `chmod go-w {path}`")
    if above & stat.S_IWOTH and not above & stat.S_ISVTX:
        folder = path.absolute().parent
        return problem("files", f"everybody can replace `{path}`: its folder is open", f"run `chmod go-w {folder}`")
    if mode & stat.S_IWGRP:
        return warning("files", f"a group can change `{path}` (mode {mode:04o})", f"run `chmod g-w {path}`")
    return ok("files", f"`{path}` cannot be changed by others")
