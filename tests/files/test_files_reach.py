"""What a session reaches by two steps of which each is granted: moves, and conditions."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from bailiwick.mounts.files.admission import NotDone
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, code, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_reach")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: root
    resources: {cases: {paths: ["**"]}}
roles:
  clerk:
    grants:
      - {allow: cases:read, args: {path: {prefix: masked/}}, mask: [email], reason: r}
      - {allow: cases:read, args: {path: {prefix: clear/}}, reason: r}
      - {allow: cases:move, reason: r}
      - {allow: cases:create, reason: r}
      - {allow: cases:update, reason: r}
      - {allow: cases:delete, args: {size: {under: 20}}, reason: r}
agents:
  bot: {owner: o, purpose: p, roles: [clerk]}
gates:
  delete: {loosen: [cases:delete], reason: what is deleted is kept}
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> AsyncGenerator[Desk]:
    files = {
        "masked/a.txt": f"{CANARY}@example.com wrote\n",
        "masked/b.txt": "b\n",
        "dark/a.txt": CANARY,
        "dark/b.txt": "b\n",
        "clear/a.txt": "a\n",
        "sized/large.txt": CANARY * 10,
        "sized/small.txt": "small",
    }
    async with files_here(POLICY, files) as found:
        yield found


@pytest.mark.parametrize("path", ["masked/a.txt", "dark/a.txt"])
async def test_no_move_within_a_resource_shows_what_was_masked_or_not_read(desk: Desk, path: str) -> None:
    bot = await desk.agent()
    assert isinstance(await bot.move(path, f"clear/{path.replace('/', '-')}"), NotDone)
    assert (desk.root / path).exists()


@pytest.mark.parametrize(
    ("path", "to"),
    [("masked/b.txt", "masked/c.txt"), ("dark/b.txt", "dark/c.txt"), ("clear/a.txt", "clear/b.txt")],
)
async def test_a_move_that_shows_no_more_is_done(desk: Desk, path: str, to: str) -> None:
    bot = await desk.agent()
    assert isinstance(await bot.move(path, to), Written)


async def test_a_condition_does_not_tell_of_a_file_that_is_not_granted(desk: Desk) -> None:
    bot = await desk.agent()
    there, nowhere = await bot.delete("sized/large.txt", "other"), await bot.delete("sized/none.txt", "other")
    assert isinstance(there, NotDone)
    assert isinstance(nowhere, NotDone)
    assert there.denial == nowhere.denial
    assert code(await bot.delete("sized/small.txt", "other")) == "data_changed"
