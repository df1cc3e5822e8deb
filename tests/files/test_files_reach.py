"""What a session reaches by two steps of which each is granted: moves, and conditions."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from bailiwick.mounts.files.admission import NotDone
from bailiwick.mounts.files.local import LocalStore
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, code, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_reach")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: root
    resources:
      cases: {paths: ["**"]}
      own: {paths: ["own/**", "shared/*.md"]}
      others: {paths: ["CANARY-others/**"]}
    quota: {bytes: 100 kB}
roles:
  clerk:
    grants:
      - {allow: cases:read, args: {path: {prefix: masked/}}, mask: [email], reason: r}
      - {allow: cases:read, args: {path: {prefix: clear/}}, reason: r}
      - {allow: cases:move, reason: r}
      - {allow: cases:create, reason: r}
      - {allow: cases:update, reason: r}
      - {allow: cases:delete, args: {size: {under: 20}}, reason: r}
  editor:
    grants:
      - {allow: cases:update, args: {path: {prefix: recent/}, modified: {within: 30d}, size: {max: 1000}}, reason: r}
      - {allow: cases:update, args: {path: {prefix: texts/}, type: text/plain}, reason: r}
      - {allow: cases:read, args: {path: {prefix: recent/}, modified: {within: 30d}}, mask: [email], reason: r}
      - {allow: cases:read, args: {path: {prefix: texts/}}, reason: r}
  drafter:
    grants:
      - {allow: cases:create, args: {size: {max: 10}}, reason: r}
  helper:
    grants:
      - allow: own:read
        args: {path: {prefix: $folder}, size: {max: 100}, type: text/plain, modified: {within: 30d}}
        reason: r
      - {allow: own:update, args: {path: {glob: "own/*/notes-*.txt"}, level: [public, confidential]}, reason: r}
      - allow: own:create
        args: {path: {prefix: own/, not: {prefix: own/CANARY-project}}, size: {max: 100}}
        reason: r
      - {allow: own:move, args: {path: [own/7/a.txt, own/7/b.txt]}, reason: r}
      - {allow: own:list, reason: r}
      - {allow: own:delete, args: {path: {prefix: $folder}}, reason: r}
      - {deny: own:read, args: {path: {prefix: own/7/CANARY}}}
  other:
    grants:
      - {allow: others:read, args: {path: {prefix: CANARY-others/x}}, reason: r}
agents:
  helper: {owner: o, purpose: p, roles: [helper]}
  other: {owner: o, purpose: p, roles: [other]}
  bot: {owner: o, purpose: p, roles: [clerk]}
  editor: {owner: o, purpose: p, roles: [editor]}
  drafter: {owner: o, purpose: p, roles: [drafter]}
tasks:
  ticket: {agents: [helper], context: {folder: string}}
gates:
  delete: {loosen: [cases:delete, own:delete], reason: what is deleted is kept}
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
        "recent/old.txt": CANARY,
        "recent/new.txt": "new",
        "texts/a.txt": "text",
        "own/7/a.txt": "own",
        "own/7/long.txt": "x" * 101,
        "own/7/CANARY.txt": CANARY,
        "own/8/a.txt": CANARY,
    }
    async with files_here(POLICY, files) as found:
        os.utime(found.root / "recent/old.txt", (1_000_000_000, 1_000_000_000))
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


@pytest.mark.parametrize("condition", ["", "none", "*", "other"])
@pytest.mark.parametrize("content", [b"text", b"x" * 2000])
async def test_who_may_only_update_cannot_tell_an_excluded_file_from_none(
    desk: Desk, condition: str, content: bytes
) -> None:
    editor = await desk.agent("editor")
    there = await editor.write("recent/old.txt", content, condition)
    nowhere = await editor.write("recent/none.txt", content, condition)
    assert isinstance(there, NotDone)
    assert isinstance(nowhere, NotDone)
    assert there.denial == nowhere.denial
    assert (desk.root / "recent/old.txt").read_text() == CANARY


async def test_who_may_update_a_file_does(desk: Desk) -> None:
    editor = await desk.agent("editor")
    assert isinstance(await editor.write("recent/new.txt", b"newer"), Written)
    assert isinstance(await editor.write("texts/a.txt", b"another"), Written)


async def test_who_may_only_create_learns_of_a_file_where_one_could_be_created_alone(desk: Desk) -> None:
    drafter = await desk.agent("drafter")
    there, nowhere = [await drafter.write(f"drafts/{name}", b"x" * 11) for name in ("a.txt", "b.txt")]
    large = await drafter.write("sized/large.txt", b"x" * 11)
    assert isinstance(large, NotDone)
    assert isinstance(there, NotDone)
    assert isinstance(nowhere, NotDone)
    assert large.denial == there.denial == nowhere.denial
    assert code(await drafter.write("sized/large.txt", b"x")) == "action_not_granted"
    assert isinstance(await drafter.write("drafts/a.txt", b"x"), Written)


async def test_a_file_that_the_gateway_cannot_read_is_told_of_to_whom_it_is_granted_alone(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who runs the tests may read everything, so that the refusal is the system's in its place."""
    editor = await desk.agent("editor")
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in ("old.txt", "a.txt"):
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, flags, mode, dir_fd=dir_fd)

    absent = await editor.read("recent/none.txt")
    with monkeypatch.context() as patched:
        patched.setattr("bailiwick.mounts.files.local.os.open", refusing)
        excluded, granted = await editor.read("recent/old.txt"), await editor.read("texts/a.txt")
    assert isinstance(absent, NotDone)
    assert isinstance(excluded, NotDone)
    assert excluded.denial == absent.denial
    assert code(granted) == "backend_unavailable"


async def test_a_version_does_not_tell_the_size_of_what_is_masked(desk: Desk) -> None:
    path = desk.root / "masked/a.txt"
    versions = [LocalStore(str(desk.root)).look(("masked", "a.txt")) for _ in range(2)]
    assert versions[0] is not None
    assert versions[1] is not None
    assert versions[0].version != versions[1].version  # under another key
    assert f"{path.stat().st_size:x}" not in versions[0].version.split("-")


async def test_a_put_is_refused_before_more_of_it_is_taken_than_there_is_room_for(desk: Desk) -> None:
    bot = await desk.agent()
    status, _, answer = await desk.http(bot, "PUT", "clear/huge.bin", b"x" * 300_000)
    assert (status, b"may hold" in answer) == (507, True)
    assert (await desk.http(bot, "PUT", "clear/fits.bin", b"x" * 30_000))[0] == 201


_READ = (
    "read within `own/**`, paths that start with `own/7/`, where "
    "level is public or internal, size in bytes is at most 100, type is text/plain "
    "and time of change is within the last 30 days"
)
_CREATE = (
    "create within `own/**`, paths that start with `own/`, with exceptions, where "
    "level is public or internal and size in bytes is at most 100"
)
_UPDATE = "update within `own/**`, paths that look like `own/*/notes-*.txt`, where level is public or confidential"
_MOVE = "move within `own/**`, only `own/7/a.txt` or `own/7/b.txt`, where level is public or internal"
_DELETE = "delete within `own/**`, paths that start with `own/7/`, where level is public or internal"
_LIST = "list within `own/**`, `shared/*.md`, where level is public or internal"


@pytest.mark.parametrize(
    ("tool", "given", "allowed"),
    [
        *(("read_file", {"path": f"own/{name}"}, _READ) for name in ("8/a.txt", "7/long.txt", "7/CANARY.txt", "7/no")),
        ("read_file", {"path": "elsewhere.txt"}, _READ),
        ("write_file", {"path": "shared/a.md", "content": "x"}, f"{_CREATE}; {_UPDATE}"),
        ("write_file", {"path": "own/7/new.txt", "content": "x" * 101}, _CREATE),
        ("write_file", {"path": "own/CANARY-project/new.txt", "content": "x"}, f"{_CREATE}; {_UPDATE}"),
        ("move_file", {"path": "own/8/a.txt", "to": "own/7/c.txt"}, _MOVE),
        ("move_file", {"path": "own/7/a.txt", "to": "shared/c.md"}, _CREATE),
        ("delete_file", {"path": "own/8/a.txt"}, _DELETE),
        ("list_files", {"path": "masked"}, _LIST),
        ("search_files", {"path": "masked", "text": "x"}, _READ),
    ],
)
async def test_a_denial_says_which_files_would_do_and_nothing_of_others(
    desk: Desk, tool: str, given: dict[str, object], allowed: str
) -> None:
    helper = await desk.agent("helper", folder="own/7/")
    denied = await asyncio.to_thread(lambda: desk.client(helper).call(tool, **given))
    assert denied.data["allowed"] == allowed, denied.text
    assert "CANARY" not in denied.text


async def test_what_a_denial_says_would_do_does(desk: Desk) -> None:
    helper = await desk.agent("helper", folder="own/7/")
    assert await helper.read("own/7/a.txt") == b"own"
    made = await helper.write("own/7/notes-1.txt", b"x" * 100)
    assert isinstance(made, Written), made
    assert isinstance(await helper.delete("own/7/notes-1.txt"), Written)
    assert "own/7/a.txt" in await helper.names("own/7")
    status, _, body = await desk.http(helper, "GET", "own/8/a.txt")
    assert (status, json.loads(body)["allowed"]) == (404, _READ)
    other = await desk.agent("helper", folder="own/9/")
    refused = await other.read("own/7/a.txt")
    assert isinstance(refused, NotDone)
    assert "own/9/" in refused.denial.allowed
    assert "own/7/" not in refused.denial.allowed
