"""The other end of the admin socket, for the command line. Light to import: it blocks, and needs no event loop."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from bailiwick.errors import BailiwickError, ConfigError
from bailiwick.gateway.wire import Json

_seconds = 60
_longest = 64 * 1024 * 1024


class AnswerError(BailiwickError):
    """What the gateway answered instead of a result, with its code."""

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.code = code


class AdminClient:
    """Asks one running gateway."""

    def __init__(self, path: Path, start_hint: str = "bailiwick serve") -> None:
        self._path = path
        self._start_hint = start_hint

    def ask(self, do: str, fields: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return the result of a request. Raises AnswerError, or ConfigError when no gateway answers."""
        line = json.dumps({**fields, "do": do}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_seconds)
                connection.connect(str(self._path))
                connection.sendall(line)
                with connection.makefile("rb") as stream:
                    reply = stream.readline(_longest)
        except PermissionError:
            raise ConfigError(f"`{self._path}` belongs to another user", remedy="run as the gateway's user") from None
        except OSError:
            raise ConfigError(
                f"no gateway answers at `{self._path}`", remedy=f"start it: `{self._start_hint}`"
            ) from None
        return _result(reply)


def _result(reply: bytes) -> Mapping[str, Json]:
    try:
        answer = cast("Mapping[str, Json]", json.loads(reply))
        if answer["ok"] is True:
            return cast("Mapping[str, Json]", answer["result"])
        error = cast("Mapping[str, str]", answer["error"])
        raise AnswerError(error["code"], error["message"], error["remedy"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            "the gateway stopped before it answered", remedy="see its log, then `bailiwick session list`"
        ) from None
