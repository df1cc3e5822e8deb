"""The start-up phase as the gateway plays the server: encryption requests, parameters, password, cancel requests.

Sans-I/O: `feed` takes bytes and gives back what happened; the edge does it. Nothing before a valid password makes
the gateway keep more than one packet of 10 kB.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bailiwick.errors import ProtocolError
from bailiwick.mounts.postgres.codec import (
    AUTHENTICATION_CLEARTEXT,
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    MAX_STARTUP,
    SSL_REQUEST,
    VERSION_3_2,
    Framer,
    int32_at,
    message,
    pack_int32,
    read_startup,
    text_until_zero,
)
from bailiwick.mounts.postgres.errors import own_error


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this to the client and go on."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Send `data` (`S`, or nothing for direct TLS), then speak TLS; `received` already belongs to it."""

    data: bytes
    received: bytes = b""

    @property
    def direct(self) -> bool:
        """Whether the client spoke TLS without asking; it must then choose the protocol `postgresql` by ALPN."""
        return not self.data


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send this and close."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel what runs for this key, answer nothing and close."""

    process: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class Login:
    """A client that wants in. `settings` are passed on to the database as start-up parameters."""

    agent: str
    mount: str
    token: str
    settings: dict[str, str]
    version: int


Step = Reply | StartTls | Refuse | Cancel | Login
State = Literal["ENCRYPTION", "PASSWORD", "DONE"]

_setting = re.compile(r"[\w /,:+.\-<>()\[\]@=]{0,128}", re.ASCII)
_utf8 = frozenset({"utf8", "utf-8", "unicode", "'utf8'", "'utf-8'", '"utf8"', '"utf-8"'})
_search_paths = frozenset({"", "public", '"$user", public', '"$user",public', "$user,public"})
_passed_on: dict[str, str] = {
    "application_name": "application_name",
    "datestyle": "DateStyle",
    "timezone": "TimeZone",
    "extra_float_digits": "extra_float_digits",
}
TLS_HANDSHAKE = 0x16


class Startup:
    """One client's start-up. `encrypted` is set by the edge once TLS stands; `tls` says whether it can be offered."""

    __slots__ = ("_framer", "_login", "_state", "_tls", "_unencrypted", "encrypted")

    def __init__(self, *, tls: bool, unencrypted: frozenset[str] | None = None) -> None:
        """`unencrypted`: the only mounts that this client may use without TLS; None, for one on loopback: all."""
        self._framer = Framer(MAX_STARTUP)
        self._state: State = "ENCRYPTION"
        self._tls = tls
        self._unencrypted = unencrypted
        self._login: tuple[str, str, dict[str, str], int] | None = None
        self.encrypted = False

    def feed(self, data: bytes) -> list[Step]:
        """Take what was received; return what to do, in order. Malformed input ends in a `Refuse`."""
        self._framer.feed(data)
        steps: list[Step] = []
        try:
            while self._state != "DONE":
                step = self._next()
                if step is None:
                    break
                steps.append(step)
                if isinstance(step, StartTls):
                    break
        except ProtocolError as error:
            self._state = "DONE"
            steps.append(_refuse("08P01", error.message))
        return steps

    def rest(self) -> bytes:
        """Take out what the client sent behind its password."""
        return self._framer.rest()

    def _next(self) -> Step | None:
        if self._state == "PASSWORD":
            return self._password()
        if self._framer.peek() == TLS_HANDSHAKE and self._tls and not self.encrypted:
            return StartTls(b"", self._framer.rest())
        packet = self._framer.packet()
        if packet is None:
            return None
        if len(packet) < 4:
            raise ProtocolError("the start-up packet is too short")
        code: int = int32_at(packet, 0)[0]
        if code == SSL_REQUEST:
            return self._encrypt()
        if code == GSSENC_REQUEST:
            return Reply(b"N")
        if code == CANCEL_REQUEST:
            return self._cancel(packet)
        return self._start(packet)

    def _encrypt(self) -> Step:
        if self.encrypted:
            raise ProtocolError("encryption is asked for inside encryption")
        if not self._tls:
            return Reply(b"N")
        if self._framer.peek() is not None:
            # What came before the handshake was not protected; taking it as protected is CVE-2021-23214.
            raise ProtocolError("unencrypted bytes follow the request for encryption")
        return StartTls(b"S")

    def _cancel(self, packet: bytes) -> Step:
        self._state = "DONE"
        if not 12 <= len(packet) <= 8 + 256:
            raise ProtocolError("the cancel request has the wrong length")
        return Cancel(int32_at(packet, 4)[0], packet[8:])

    def _start(self, packet: bytes) -> Step:
        version, parameters = read_startup(packet)
        if version >> 16 != 3:
            return self._refuse(
                "0A000", f"protocol {version >> 16}.{version & 0xFFFF} is not supported: use 3.0 or 3.2"
            )
        options = sorted(name for name in parameters if name.startswith("_pq_."))
        found = _settings(parameters)
        if isinstance(found, Refuse):
            self._state = "DONE"
            return found
        agent, mount = parameters.get("user", ""), parameters.get("database", "")
        if not agent or not mount:
            return self._refuse(
                "28000", "the agent's id goes where the user stands, the mount where the database stands"
            )
        if self._unencrypted is not None and mount not in self._unencrypted and not self.encrypted:
            return self._refuse(
                "28000",
                "unencrypted connections are refused from beyond loopback",
                "connect with `sslmode=require` or stricter",
            )
        accepted = min(version, VERSION_3_2)
        self._login = (agent, mount, found, accepted)
        self._state = "PASSWORD"
        negotiation = _negotiate(options) if options or version > VERSION_3_2 else b""
        return Reply(negotiation + AUTHENTICATION_CLEARTEXT)

    def _password(self) -> Step | None:
        taken = self._framer.message()
        if taken is None or self._login is None:
            return None
        kind, body = taken
        if kind != b"p":
            raise ProtocolError("a password is expected")
        self._state = "DONE"
        password, end = text_until_zero(body, 0)
        if end != len(body):
            raise ProtocolError("the password message has the wrong length")
        agent, mount, settings, version = self._login
        try:
            return Login(agent, mount, password.decode("ascii"), settings, version)
        except UnicodeDecodeError:
            return _refuse("28P01", "the password is not a session token")

    def _refuse(self, state: str, text: str, hint: str = "") -> Refuse:
        self._state = "DONE"
        return _refuse(state, text, hint)


def _refuse(state: str, text: str, hint: str = "") -> Refuse:
    return Refuse(own_error(state, text, hint=hint, fatal=True))


def _settings(parameters: dict[str, str]) -> dict[str, str] | Refuse:
    settings: dict[str, str] = {}
    for name, value in parameters.items():
        key = name.lower()
        if name in ("user", "database") or name.startswith("_pq_."):
            continue
        if key in _passed_on:
            if not _setting.fullmatch(value) and key != "application_name":
                return _refuse("22023", f"the value of the start-up parameter `{key}` is not allowed")
            settings[_passed_on[key]] = _plain(value) if key == "application_name" else value
        elif key == "client_encoding":
            if value.lower() not in _utf8:
                return _refuse("22023", "only `UTF8` is allowed as `client_encoding`")
        elif key != "search_path" or value not in _search_paths:
            return _refuse(
                "42501",
                f"the start-up parameter `{_plain(name)}` is not allowed",
                "leave it out of the connection string",
            )
    return settings


def _plain(text: str) -> str:
    return "".join(char if " " <= char <= "~" and char != "`" else "?" for char in text[:63])


def _negotiate(options: list[str]) -> bytes:
    body = pack_int32(VERSION_3_2) + pack_int32(len(options))
    return message(b"v", body + b"".join(option.encode() + b"\0" for option in options))
