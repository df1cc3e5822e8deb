"""How tests are handed out to processes: a module, or an `xdist_group`, goes to one of them as a whole.

Handed out one by one, tests of one module would be run by every process, and each would start the gateway, the
database and whatever else the module's tests share.
"""

from __future__ import annotations

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

_LONG = ("regress-", *(f"tests/{folder}/" for folder in ("sqlsmith", "oracle", "examples", "demo")))
"""What takes long goes first, so that nobody waits for it at the end; the rest as it is collected."""


class ByModule(LoadGroupScheduling):
    """Gives each process a module or a group at a time."""

    def _split_scope(self, nodeid: str) -> str:
        """Return the name of what a test is handed out with."""
        name = super()._split_scope(nodeid)
        return name.partition("::")[0] if name == nodeid else name

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Hand out what comes next."""
        for name in self.workqueue:
            if name.startswith(_LONG):
                self.workqueue.move_to_end(name, last=False)
                break
        super()._assign_work_unit(node)
