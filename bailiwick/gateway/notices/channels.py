"""Who is told what: `notify` of gateway.yaml. Secrets are references, which are resolved at the start."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import yaml

from bailiwick.errors import ConfigError
from bailiwick.gateway.sections import Keys, Plain, named
from bailiwick.model.notice import NoticeKind
from bailiwick.model.policy import SecretRef

SECTION = "notify"
ChannelKind = Literal["webhook", "slack", "smtp", "apprise"]
_kinds: tuple[ChannelKind, ...] = get_args(ChannelKind)
_notices: tuple[NoticeKind, ...] = get_args(NoticeKind)
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}")
_secret_bytes = range(24, 65)


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to people."""

    name: str
    kind: ChannelKind
    url: SecretRef
    on: frozenset[NoticeKind]
    """What it is told of."""
    secrets: tuple[SecretRef, ...] = ()
    """Of a webhook: keys that sign, all of them, the newest first."""
    sender: str = ""
    recipients: tuple[str, ...] = ()

    @property
    def knows_again(self) -> bool:
        """Whether its receivers know a second sending by its id; others get nothing twice, in doubt not at all."""
        return self.kind in ("webhook", "smtp")


def read_channels(path: Path, root: yaml.Node) -> Mapping[str, Channel]:
    """Return the channels of a gateway.yaml. Raises ConfigError with `file:line:column` or the key that is wrong."""
    return {name: _channel(name, given) for name, given in named(SECTION, path, root).items()}


def signing_key(name: str, text: str) -> bytes:
    """Return the key that a secret says (`whsec_` and base64). Raises ConfigError, which does not show it."""
    try:
        key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _secret_bytes:
        raise ConfigError(
            f"a secret of `{SECTION}.{name}` is not `whsec_` and base64 of 24 to 64 bytes",
            remedy="make one: `echo whsec_$(openssl rand -base64 32)`",
        )
    return key


def _channel(name: str, given: Plain) -> Channel:
    keys = Keys(f"{SECTION}.{name}", given, (*_kinds, "on", "secret", "from", "to"))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"`{name[:100]}` cannot name a channel", remedy="letters, digits, `_`, `-` and `.`")
    kinds: list[ChannelKind] = [kind for kind in _kinds if keys.text(kind) is not None]
    if len(kinds) != 1:
        raise ConfigError(f"`{keys.what}` needs one of {', '.join(_kinds)}", remedy="make a channel for each")
    kind, url, secrets = kinds[0], keys.text(kinds[0]) or "", keys.texts("secret")
    is_reference = url.startswith(("${", "file:"))
    if not is_reference and (kind in ("slack", "apprise") or "@" in url):
        message = f"`{keys.what}.{kind}` is not a reference"
        raise ConfigError(message, remedy="write `${NAME}` or `file:PATH`; its URL lets anybody in who knows it")
    for each in secrets:
        if not each.startswith(("${", "file:")):
            message = f"`{keys.what}.secret` is not a reference"
            raise ConfigError(message, remedy="write `${NAME}` or `file:PATH`; secrets do not stand in gateway.yaml")
    if bool(secrets) != (kind == "webhook"):
        message = f"`{keys.what}`: a `webhook` has a `secret` to sign with, and nothing else has"
        raise ConfigError(message, remedy="write e.g. `secret: ${NAME}`")
    sender, recipients = keys.text("from") or "", keys.texts("to")
    if (kind == "smtp") != bool(sender and recipients) or (kind != "smtp" and (sender or recipients)):
        raise ConfigError(f"`{keys.what}`: `smtp` has `from` and `to`, and nothing else has", remedy="give both")
    odd = next((each for each in (sender, *recipients) if each and not _ADDRESS.fullmatch(each)), None)
    if odd is not None:
        raise ConfigError(f"`{keys.what}`: `{odd[:100]}` is not an address", remedy="write e.g. `ops@corp.example`")
    return Channel(name, kind, SecretRef(url), _on(keys), tuple(map(SecretRef, secrets)), sender, recipients)


def _on(keys: Keys) -> frozenset[NoticeKind]:
    named = keys.texts("on")
    for each in named:
        if each not in _notices or each == "test":
            known = ", ".join(kind for kind in _notices if kind != "test")
            raise ConfigError(f"`{keys.what}.on`: there is no `{each[:40]}`", remedy=f"it can be {known}")
    return frozenset(cast("tuple[NoticeKind, ...]", named) or _notices)
