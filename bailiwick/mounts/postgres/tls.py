"""TLS over a byte stream that somebody else moves: for clients that ask first and for those that do not."""

from __future__ import annotations

import ssl

from bailiwick.errors import ProtocolError

ALPN = "postgresql"


class TlsPipe:
    """One side of one TLS connection. `received` and `send` give back what has to be written to the peer."""

    __slots__ = ("_in", "_object", "_out", "ready")

    def __init__(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> None:
        """With `server_hostname` this is the client's side, to be verified as the context says."""
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._in, self._out, server_side=server_hostname is None, server_hostname=server_hostname
        )
        self.ready = False

    @property
    def protocol(self) -> str | None:
        """The protocol chosen by ALPN."""
        return self._object.selected_alpn_protocol()

    def received(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Take what the peer sent: (what it says, what to write to it, whether it has closed)."""
        self._in.write(data)
        plain: list[bytes] = []
        closed = False
        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            while chunk := self._object.read(262144):
                plain.append(chunk)
            closed = True
        except ssl.SSLWantReadError:
            pass  # the rest has not been received yet
        except ssl.SSLZeroReturnError:
            closed = True
        except ssl.SSLError as error:
            raise ProtocolError("the TLS connection cannot be set up or is broken") from error
        return b"".join(plain), self._out.read(), closed

    def send(self, data: bytes) -> bytes:
        """Return what to write to the peer so that it is told `data`; nothing before the handshake is done."""
        if not self.ready:
            return b""
        if data:
            self._object.write(data)
        return self._out.read()


def offer_protocol(context: ssl.SSLContext) -> None:
    """Let clients choose `postgresql` by ALPN, which those that speak TLS from the first byte must."""
    context.set_alpn_protocols([ALPN])
