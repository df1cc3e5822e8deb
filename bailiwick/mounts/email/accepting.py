"""The templates of a mount as they stand in its folder now, for `bailiwick accept`. Sending uses the lock alone."""

from __future__ import annotations

from pathlib import Path

from bailiwick.errors import ConfigError
from bailiwick.model.email import EmailMount, Template
from bailiwick.model.tool import LockedTool
from bailiwick.policy.email import SEND, locked_send
from bailiwick.policy.email_templates import read_templates
from bailiwick.policy.problem import Report

_longest = 256 * 1024
_most_files = 1000


def live_templates(mount: EmailMount, base: Path) -> dict[str, LockedTool]:
    """Return `send` with the templates of the mount's folder. Raises ConfigError for one that cannot be used."""
    return {SEND: locked_send(_read(mount, base) if mount.templates else [])}


def _read(mount: EmailMount, base: Path) -> list[Template]:
    folder = base / mount.templates
    if not folder.is_dir():
        raise ConfigError(f"mount `{mount.name}`: there is no folder `{folder}`", remedy="create it, or name another")
    files = [each for each in sorted(folder.iterdir()) if each.suffix in (".yaml", ".txt", ".html") and each.is_file()]
    if len(files) > _most_files:
        raise ConfigError(f"mount `{mount.name}`: `{folder}` has more than {_most_files} files")
    report = Report()
    found = read_templates(report, {each.name: _text(each) for each in files})
    for first in report.sorted()[:1]:
        more = f", and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
        message = f"mount `{mount.name}`, `{folder}`: {first.position}: {first.message}{more}"
        raise ConfigError(message, remedy=first.suggestion or "correct the template")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_longest + 1)
        if len(data) > _longest:
            raise ConfigError(f"`{path}` is larger than 256 KiB", remedy="a template is text that people review")
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"`{path}` cannot be read as UTF-8 text") from None
