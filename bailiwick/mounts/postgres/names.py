"""The statements and portals of one connection by their names: those of the protocol and those of SQL are the same."""

from __future__ import annotations

from bailiwick.mounts.postgres.kept import Kept
from bailiwick.mounts.postgres.prepared import Portal, Prepared


class Names:
    """Statements and portals as the server knows them, and those that the current batch is about to make.

    INVARIANT: a name never stands for something else than at the server, though it may for something that is gone
    there: whatever makes one passes here, and is entered when the server has confirmed it. `fresh`: at its Execute or
    Bind, since what follows in the batch only runs if it succeeds.
    """

    __slots__ = ("declared", "fresh_portals", "fresh_statements", "held", "kept", "portals", "statements", "unnamed")

    def __init__(self) -> None:
        self.statements: dict[bytes, Prepared] = {}
        self.portals: dict[bytes, Portal] = {}
        self.declared: dict[bytes, bytes] = {}
        """Types that were declared for parameters, of statements over what may only be aggregated."""
        self.held: dict[bytes, Portal] = {}
        """Those of the portals that outlive their transaction (WITH HOLD)."""
        self.fresh_statements: dict[bytes, Prepared] = {}
        self.fresh_portals: dict[bytes, Portal] = {}
        self.kept = Kept()
        self.unnamed = b""
        """What the client's unnamed statement is called at the server."""

    def statement(self, name: bytes) -> Prepared | None:
        """Return what a message of the current batch means by that statement name."""
        return self.fresh_statements.get(name) or self.statements.get(name)

    def at_server(self, name: bytes) -> bytes:
        """Return what the server calls the statement that a message of the current batch means by that name."""
        return name if name or b"" in self.fresh_statements else self.unnamed

    def parsed(self, prepared: Prepared, name: bytes) -> None:
        """The client's unnamed statement is this one, known to the server by that name."""
        self.statements[b""] = prepared
        self.unnamed = name

    def portal(self, name: bytes) -> Portal | None:
        """Return what a message of the current batch means by that portal name."""
        return self.fresh_portals.get(name) or self.portals.get(name)

    def ran(self, prepared: Prepared, idle: bool, *, quiet: bool) -> None:
        """An exchange has made and run the unnamed portal."""
        if quiet:
            self.statements.pop(b"", None)
        if idle:
            self.end_transaction()
        elif quiet:
            self.portals.pop(b"", None)
        else:
            self.portals[b""] = Portal(prepared)

    def forget_fresh(self) -> None:
        """The batch is over: what it made stands in the lasting maps, what failed was never made."""
        self.fresh_statements.clear()
        self.fresh_portals.clear()

    def end_transaction(self) -> None:
        """No transaction is open: portals are gone, but for cursors WITH HOLD."""
        self.kept.idle()
        self.portals.clear()
        if self.held:
            self.portals.update(self.held)

    def drop_portal(self, name: bytes) -> None:
        """The server has closed it."""
        self.portals.pop(name, None)
        self.held.pop(name, None)

    def drop_all_portals(self) -> None:
        """The server has closed them all."""
        self.portals.clear()
        self.held.clear()

    def drop_all_statements(self) -> None:
        """The server has dropped all that have a name."""
        unnamed = self.statements.get(b"")
        self.statements.clear()
        if unnamed is not None:
            self.statements[b""] = unnamed
