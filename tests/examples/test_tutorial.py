"""docs/tutorial-least-privilege.md, followed from its first line to its last."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.support.followed_page import Shell, blocks, shows
from tests.support.gateway import RunningGateway
from tests.support.installed import installation
from tests.support.postgres import GATEWAY_ROLE, Server

_CODE = re.compile(r"# exit code (\d+)$", re.MULTILINE)
PAGE = Path(__file__).parents[2] / "docs" / "tutorial-least-privilege.md"


def test_the_tutorial_is_true(postgres: Server, tmp_path: Path) -> None:
    script, *steps = blocks(PAGE)
    database = postgres.create(script.text, GATEWAY_ROLE)
    environ = {
        "CRM_URL": database.url("gw", "gw"),
        "PATH": f"{installation()}:{os.environ['PATH']}",
        "BAILIWICK_POSTGRES_PORT": "0",
        "COLUMNS": "160",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    shell = Shell(tmp_path, environ)
    gateway: RunningGateway | None = None
    printed = ""
    try:
        for step in steps:
            if step.kind == "text":
                assert shows(step.text, printed), f"{step.text}\n--- printed:\n{printed}"
            elif step.file:
                (shell.folder / step.file).write_text(step.text)
            elif step.text.startswith("bailiwick serve"):
                gateway = RunningGateway(shell.folder, environ)
                gateway.policy = shell.folder
                gateway.start()
            else:
                printed = shell.run(step.text)
                assert shell.code == (int(code[1]) if (code := _CODE.search(step.text)) else 0), printed
    finally:
        if gateway is not None:
            gateway.stop()
        database.drop()
