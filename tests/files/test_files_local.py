"""A folder as a mount: what is in the scope can be used, and of everything else nothing is told."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from bailiwick.model.files import FILE_TOOLS
from bailiwick.mounts.files.admission import NotDone
from bailiwick.mounts.files.looking import Listing, Matches
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, code, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_local")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: root
    resources:
      knowledge_base: {paths: ["kb/**"]}
      inner: {paths: ["kb/inner/**"]}
      staff: {paths: ["hr/**"]}
      mail: {paths: ["mail/**"]}
    labels: {"hr/**": restricted, "kb/plans/**": confidential}
    versions: {keep: 3}
roles:
  writer:
    grants:
      - {allow: knowledge_base:list, reason: r}
      - {allow: knowledge_base:read, reason: r}
      - {allow: knowledge_base:create, reason: r}
      - {allow: knowledge_base:update, reason: r}
      - {allow: knowledge_base:delete, reason: r}
      - {allow: knowledge_base:move, reason: r}
      - {deny: knowledge_base:read, args: {path: {glob: "kb/private/*"}}}
  support:
    grants:
      - {allow: mail:read, mask: [cards, email, keys], reason: r}
      - {allow: mail:list, reason: r}
      - {allow: knowledge_base:read, args: {path: {prefix: kb/}, size: {max: 20}, type: text/markdown}, reason: r}
      - {allow: knowledge_base:list, args: {type: text/markdown}, reason: r}
  staff:
    grants:
      - {allow: staff:read, args: {level: any}, reason: r}
      - {allow: knowledge_base:read, args: any, reason: r}
agents:
  bot: {owner: o, purpose: p, roles: [writer]}
  clerk: {owner: o, purpose: p, roles: [support]}
  officer: {owner: o, purpose: p, roles: [staff]}
gates:
  delete: {loosen: [knowledge_base:delete], reason: what is deleted is kept}
"""
FILES = {
    "kb/a.md": "hello world",
    "kb/sub/b.md": "deep hello",
    "kb/c.csv": "a,b",
    "kb/long.md": "x" * 100,
    "kb/plans/p.md": f"{CANARY} plan hello",
    "kb/inner/i.md": f"{CANARY} inner hello",
    "kb/private/x.md": f"{CANARY} private hello",
    "hr/pay.txt": f"{CANARY} pay hello",
    "hr/linked.txt": f"{CANARY} linked hello",
    "other/o.txt": f"{CANARY} other hello",
    "mail/m.txt": "from ann@corp.example with 4111 1111 1111 1111\nand AKIAIOSFODNN7EXAMPLE\n",
    "mail/m.png": b"\x89PNG\r\n\x1a\n\x00\x01ann@corp.example",
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> AsyncGenerator[Desk]:
    async with files_here(POLICY, FILES) as found:
        (found.root / "kb/link.md").symlink_to("../hr/pay.txt")
        (found.root / "kb/up").symlink_to("../hr")
        os.link(found.root / "hr/linked.txt", found.root / "kb/hard.md")
        os.mkfifo(found.root / "kb/pipe.md")
        yield found


async def test_what_is_in_the_scope_is_read_and_listed(desk: Desk) -> None:
    bot = await desk.agent()
    assert await bot.read("kb/a.md") == b"hello world"
    names = await bot.names()
    assert {"kb/a.md", "kb/sub/b.md", "kb/c.csv"} <= set(names)
    assert not [name for name in names if name.startswith(("hr", "other", "mail", "kb/plans/", "kb/inner/"))]
    assert not {"kb/link.md", "kb/hard.md", "kb/pipe.md"} & set(names)
    top = await bot.list()
    assert isinstance(top, Listing)
    assert [each.path for each in top.entries] == ["kb"]


@pytest.mark.parametrize(
    "path",
    [
        *("hr/pay.txt", "other/o.txt", "kb/inner/i.md", "kb/plans/p.md", "kb/private/x.md", "kb/missing.md"),
        *("kb/link.md", "kb/up/pay.txt", "kb/hard.md", "kb/pipe.md", "kb/sub", "KB/a.md", "kb/INNER/i.md"),
    ],
)
async def test_what_is_outside_is_told_in_the_words_for_what_is_not_there(desk: Desk, path: str) -> None:
    bot = await desk.agent()
    done = await bot.read(path)
    absent = await bot.read("kb/nothing-of-this-name.md")
    assert isinstance(done, NotDone)
    assert isinstance(absent, NotDone)
    assert done.denial == absent.denial
    assert done.denial.code == "resource_unknown"


async def test_a_file_is_written_changed_moved_and_deleted_and_what_was_is_kept(desk: Desk) -> None:
    bot = await desk.agent()
    made = await bot.write("kb/new/deep/n.md", b"one")
    assert isinstance(made, Written)
    assert made.created
    assert made.info is not None
    assert code(await bot.write("kb/new/deep/n.md", b"two", "none")) == "data_changed"
    assert isinstance(await bot.write("kb/new/deep/n.md", b"two", made.info.version), Written)
    assert code(await bot.write("kb/new/deep/n.md", b"three", made.info.version)) == "data_changed"
    assert isinstance(await bot.move("kb/new/deep/n.md", "kb/new/m.md"), Written)
    assert code(await bot.move("kb/new/m.md", "kb/a.md")) == "data_changed"
    assert isinstance(await bot.delete("kb/new/m.md"), Written)
    assert code(await bot.read("kb/new/m.md")) == "resource_unknown"
    mounted = desk.front.folders.get("docs")
    assert mounted is not None
    kept = {each.why: mounted.versions.open(each).read_bytes() for each in mounted.versions.listed("kb/new/deep/n.md")}
    assert kept == {"update": b"one"}
    assert [mounted.versions.open(each).read_bytes() for each in mounted.versions.listed("kb/new/m.md")] == [b"two"]
    assert not list(desk.root.rglob(".bailiwick-*"))


@pytest.mark.parametrize(
    "path", ["hr/new.txt", "kb/inner/new.md", "new.md", "kb/up/new.md", "kb/link.md", "kb/hard.md"]
)
async def test_nothing_is_written_outside_or_through_links(desk: Desk, path: str) -> None:
    bot = await desk.agent()
    assert isinstance(await bot.write(path, b"evil"), NotDone)
    assert (desk.root / "hr/pay.txt").read_text() == FILES["hr/pay.txt"]
    assert not (desk.root / "hr/new.md").exists()
    assert not (desk.root / "hr/new.txt").exists()


async def test_a_search_is_within_the_scope_and_counts_nothing_else(desk: Desk) -> None:
    bot = await desk.agent()
    found = await bot.search("HELLO")
    assert isinstance(found, Matches)
    assert {each.path for each in found.found} == {"kb/a.md", "kb/sub/b.md"}
    assert CANARY not in str(found)
    assert isinstance(nothing := await bot.search(CANARY), Matches)
    assert nothing.found == ()


async def test_a_masked_file_shows_nothing_of_what_is_masked(desk: Desk) -> None:
    clerk = await desk.agent("clerk")
    assert await clerk.read("mail/m.txt") == b"from [email] with [card]\nand [key]\n"
    assert code(await clerk.read("mail/m.png")) == "result_withheld"
    found = await clerk.search("ann@corp", "mail")
    assert isinstance(found, Matches)
    assert found.found == ()
    assert isinstance(found := await clerk.search("[email]", "mail"), Matches)
    assert [each.text for each in found.found] == ["from [email] with [card]"]


async def test_size_and_type_decide_too(desk: Desk) -> None:
    clerk = await desk.agent("clerk")
    assert await clerk.read("kb/a.md") == b"hello world"
    assert code(await clerk.read("kb/long.md")) == "resource_unknown"
    assert code(await clerk.read("kb/c.csv")) == "resource_unknown"
    names = await clerk.names("kb")
    assert "kb/a.md" in names
    assert "kb/c.csv" not in names


async def test_what_is_restricted_is_held_for_people_and_moving_takes_no_labels_away(desk: Desk) -> None:
    officer = await desk.agent("officer")
    assert code(await officer.read("hr/pay.txt")) == "needs_approval"
    assert await officer.read("kb/plans/p.md") == str(FILES["kb/plans/p.md"]).encode()
    assert code(await officer.search("pay", "hr")) == ""
    assert CANARY not in str(await officer.search("pay", "hr"))


async def test_records_tell_what_was_done_and_nothing_of_what_is_outside(desk: Desk) -> None:
    bot = await desk.agent()
    await bot.read("kb/a.md")
    await bot.read("other/o.txt")
    records = desk.records()
    assert CANARY not in str(records)
    assert "other/o.txt" not in str(records)
    assert any("read docs/kb/a.md" in str(each) for each in records)


async def test_agents_reach_files_by_tools_of_mcp(desk: Desk) -> None:

    bot = await desk.agent()
    client = desk.client(bot)
    listed = (await asyncio.to_thread(client.ask, "tools/list", {})).result
    names = str(listed["tools"])
    assert all(name in names for name in FILE_TOOLS)
    answer = await asyncio.to_thread(client.call, "read_file", path="kb/a.md")
    assert (answer.code, answer.data["content"], answer.data["type"]) == ("", "hello world", "text/markdown")
    written = await asyncio.to_thread(client.call, "write_file", path="kb/mcp.md", content="by mcp")
    assert written.data["created"] is True
    assert (desk.root / "kb/mcp.md").read_text() == "by mcp"
    outside = await asyncio.to_thread(client.call, "read_file", path="hr/pay.txt")
    assert outside.code == "resource_unknown"
    found = await asyncio.to_thread(client.call, "search_files", text="by mcp")
    assert found.data["matches"] == [{"path": "kb/mcp.md", "line": 1, "text": "by mcp"}]
    gone = await asyncio.to_thread(client.call, "delete_file", path="kb/mcp.md")
    assert gone.data["deleted"] is True
    clerk = await desk.agent("clerk")
    listed = (await asyncio.to_thread(desk.client(clerk).ask, "tools/list", {})).result
    assert "write_file" not in str(listed)


async def test_a_large_file_takes_its_place_whole_and_leaves_nothing_beside_it(desk: Desk) -> None:
    bot = await desk.agent()
    path, large, larger = "kb/large/a.bin", b"a" * 5_000_000, b"b" * 6_000_000
    assert isinstance(await bot.write(path, large), Written)  # copied: its folder is not there yet
    assert isinstance(await bot.write(path, larger), Written)  # what was taken stays where it is
    assert code(await bot.write(path, large, "none")) == "data_changed"
    assert (desk.root / path).read_bytes() == larger
    assert (desk.root / path).stat().st_mode & 0o777 == 0o640
    assert os.listdir(desk.root / "kb/large") == ["a.bin"]
    shutil.rmtree(desk.root / "kb/large")


async def test_a_move_does_not_tell_what_is_where_nothing_may_be_created(desk: Desk) -> None:
    bot = await desk.agent()
    place = desk.root / "kb/drafts/moved.md"
    place.parent.mkdir(exist_ok=True)
    place.write_text("moved")
    told = [
        await bot.move("kb/drafts/moved.md", to)
        for to in ("hr/pay.txt", "hr/none.txt", "other/o.txt", "other/none.txt", "kb/plans/p.md", "kb/plans/none.md")
    ]
    assert all(isinstance(each, NotDone) for each in told)
    said = [str(each.denial) for each in told if isinstance(each, NotDone)]
    assert said[0::2] == said[1::2]
    assert place.read_text() == "moved"
    assert CANARY not in "".join(said)
    done = await bot.move("kb/drafts/moved.md", "kb/drafts/twin.md")
    assert isinstance(done, Written)
    (desk.root / "kb/drafts/twin.md").unlink()
