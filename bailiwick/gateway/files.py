"""The policy's files: the only place that reads them from disk. What they mean is `bailiwick.policy`'s."""

from __future__ import annotations

from pathlib import Path

from bailiwick.errors import PolicyError

lock_name = "bailiwick.lock"
_LARGEST = 8 * 1024 * 1024
"""Bytes of one file."""


def read_policy(path: Path) -> dict[str, str]:
    """Return file name → text of a policy: one file, or every `*.yaml` of a folder except `gateway.yaml`.

    Raises PolicyError when there is nothing to read.
    """
    if not path.is_dir():
        return {str(path): _read(path)}
    found = sorted(file for file in path.glob("*.yaml") if file.name != "gateway.yaml" and file.is_file())
    if not found:
        raise PolicyError(f"no policy in the folder `{path}`", remedy="put a `policy.yaml` into it: `bailiwick init`")
    return {str(file): _read(file) for file in found}


def lock_path(policy: Path) -> Path:
    """Return where the lock of a policy is: beside the file, or in the folder."""
    return (policy if policy.is_dir() else policy.parent) / lock_name


def read_lock(policy: Path) -> str | None:
    """Return the text of the policy's lock, None when there is none yet."""
    path = lock_path(policy)
    return _read(path) if path.exists() else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise PolicyError(f"`{path}` does not exist", remedy="give the path of the policy") from None
    except OSError as error:
        raise PolicyError(f"`{path}` cannot be read: {(error.strerror or 'unreadable').lower()}") from None
    if len(data) > _LARGEST:
        raise PolicyError(f"`{path}` is larger than 8 MiB", remedy="a policy is text that people review")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(f"`{path}` is not UTF-8 text (byte {error.start})") from None
