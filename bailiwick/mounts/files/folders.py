"""The mounts of kind `files` of the policy in force: of each its store, its patterns and its versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.decide.files import FilePlaces
from bailiwick.errors import ConfigError
from bailiwick.gateway.policies.ready import FileSecrets, Ready
from bailiwick.model.files import FilesMount
from bailiwick.mounts.files.local import LocalStore
from bailiwick.mounts.files.store import Store
from bailiwick.mounts.files.versions import Versions


@dataclass(frozen=True, slots=True)
class Mounted:
    """One mount."""

    mount: FilesMount
    given: FileSecrets
    store: Store
    places: FilePlaces
    versions: Versions
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a quota is looked at and used."""
    usage: list[float] = field(default_factory=list[float])
    """When its files were counted last, how many there are, and their bytes; empty: never. See `quotas`."""


class Folders:
    """All of them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._mounted: Mapping[str, Mounted] = {}
        self.secret: bytes | None = None
        """Keys what agents are told of versions; None: another one at each start."""

    def get(self, name: str) -> Mounted | None:
        """Return the mount of that name."""
        return self._mounted.get(name)

    def check(self, ready: Ready) -> None:
        """Raise ConfigError for a policy that cannot be served."""
        for name, mount in ready.force.policy.files.items():
            known = self._mounted.get(name)
            if known is None or not _same(known, mount, ready.files[name]):
                store_of(mount, ready.files[name])

    def install(self, ready: Ready) -> None:
        """Serve another policy. The stores of mounts that stay where they were are kept."""
        self._mounted = {name: self._made(mount, ready.files[name]) for name, mount in ready.force.policy.files.items()}

    def _made(self, mount: FilesMount, given: FileSecrets) -> Mounted:
        before = self._mounted.get(mount.name)
        same = before is not None and _same(before, mount, given)
        store = before.store if before is not None and same else store_of(mount, given, self.secret)
        versions = Versions(self._data / "files" / mount.name, mount.keeping)
        return Mounted(mount, given, store, FilePlaces(mount), versions)


def store_of(mount: FilesMount, given: FileSecrets, secret: bytes | None = None) -> Store:
    """Return the place of a mount. Raises ConfigError."""
    if mount.is_local:
        root, links, mounts = given.url.reveal(), mount.hard_links, mount.cross_mounts
        return LocalStore(root, hard_links=links, cross_mounts=mounts, secret=secret)
    from bailiwick.mounts.files.remote import remote_store  # fsspec, which folders do not need

    try:
        return remote_store(given.url.reveal(), {name: each.reveal() for name, each in given.credential.items()})
    except ImportError as error:
        message = f"mount `{mount.name}`: {error.name or 'a package'} is not installed"
        raise ConfigError(message, remedy="for S3: pip install 'bailiwick[s3]'") from None


def _same(known: Mounted, mount: FilesMount, given: FileSecrets) -> bool:
    options = (mount.is_local, mount.hard_links, mount.cross_mounts)
    return known.given == given and options == (
        known.mount.is_local,
        known.mount.hard_links,
        known.mount.cross_mounts,
    )
