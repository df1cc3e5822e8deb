"""Secrets: the only place where `${ENV}`, `file:` and `vault:` become the text that they stand for.

What is resolved is wrapped, so that it cannot be printed, logged or put into a record by accident.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.errors import ConfigError
from bailiwick.model.policy import SecretRef

_variable = re.compile(r"\$\{([^}]*)\}")
_largest = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """A resolved secret. Its `repr` and `str` never show it; `reveal()` is for the call that needs it."""

    _text: str = field(repr=False)

    def reveal(self) -> str:
        """Return the secret itself. Pass it on, keep it out of messages."""
        return self._text

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"


def resolve(ref: SecretRef, environ: Mapping[str, str], base: Path) -> Secret:
    """Return what the reference stands for. Relative files are looked for in `base`.

    Raises ConfigError, which names the reference and never the secret.
    """
    text = ref.text
    if text.startswith("vault:"):
        raise ConfigError(f"`{text}`: secrets in a vault are not supported yet", remedy="use `${NAME}` or `file:PATH`")
    if text.startswith("file:"):
        return Secret(_read(base / text.removeprefix("file:")))
    return Secret(_variable.sub(lambda match: _lookup(match[1], environ), text))


def _lookup(name: str, environ: Mapping[str, str]) -> str:
    if not name.isidentifier():
        raise ConfigError(f"`${{{name}}}` does not name an environment variable", remedy="write e.g. `${CRM_URL}`")
    value = environ.get(name, "")
    if not value:
        raise ConfigError(
            f"the environment variable `{name}` is not set", remedy=f"set `{name}` where the gateway starts"
        )
    return value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_largest + 1)
        text = data.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(
            f"the secret file `{path}` cannot be read: {error.strerror or 'unreadable'}",
            remedy="create it, readable by the gateway only",
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"the secret file `{path}` is not UTF-8 text", remedy="store the secret as text") from None
    if not text or len(data) > _largest:
        raise ConfigError(
            f"the secret file `{path}` is empty or larger than 64 KiB", remedy="put only the secret into it"
        )
    return text
