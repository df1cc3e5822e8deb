"""What docs/sdk.md shows is run, in its order."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bailiwick.guard import Guard

DOCS = Path(__file__).parents[2] / "docs" / "sdk.md"
pytestmark = pytest.mark.xdist_group("guard")


def test_the_examples_of_the_sdk_do_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```(yaml|python)\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    (policy,) = [text for kind, text in blocks if kind == "yaml"]
    (tmp_path / "policy.yaml").write_text(policy)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BAILIWICK_")]:
        monkeypatch.delenv(name)
    names: dict[str, object] = {"__name__": "example"}
    code = [text for kind, text in blocks if kind == "python"]
    assert len(code) == 5
    try:
        for text in code:
            exec(compile(text, str(DOCS), "exec"), names)  # our own documentation
    finally:
        guard = names.get("guard")  # the one that the first example makes
        if isinstance(guard, Guard):
            guard.close()
