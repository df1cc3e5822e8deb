from collections import OrderedDict

import pytest

from .remote import Producer
from .workermanage import WorkerController

class LoadGroupScheduling:
    workqueue: OrderedDict[str, dict[str, bool]]
    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None: ...
    def _split_scope(self, nodeid: str) -> str: ...
    def _assign_work_unit(self, node: WorkerController) -> None: ...
