"""`docs/sql.md` says what agents may write: its examples pass, and those that it calls refused are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bailiwick.model.decision import Denial
from bailiwick.sql.extension_lists import REVIEWED
from bailiwick.sql.plan import Plan
from tests.sql.rewrite_samples import rewriter

PAGE = (Path(__file__).parents[2] / "docs/sql.md").read_text(encoding="utf-8")
EXAMPLES = [line for block in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_of_the_reference_is_what_it_says(line: str) -> None:
    sql, refused, _ = line.partition(" -- refused")
    (found,) = rewriter().rewrite(sql)
    assert isinstance(found, Denial if refused else Plan), found


def test_the_reference_names_every_extension_that_can_be_opened() -> None:
    table = PAGE[PAGE.index("## Extensions") :].split("\n\n")[1]
    assert set(re.findall(r"`([a-z_-]+)`", table)) - {"extensions"} == set(REVIEWED)
