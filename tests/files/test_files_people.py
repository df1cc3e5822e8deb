"""What people do about files: decide on held writes, which they see as a diff, and put versions back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import cast

import pytest
import pytest_asyncio

from bailiwick.errors import BailiwickError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.wire import Json
from bailiwick.mounts.files.admission import NotDone
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, code, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_people")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: root
    resources: {knowledge_base: {paths: ["kb/**"]}, staff: {paths: ["hr/**"]}}
    labels: {"hr/**": restricted}
    quota: {bytes: 200 kB, files: 12}
roles:
  writer:
    grants:
      - {allow: "knowledge_base:*", reason: r, limits: {bytes: 100000}}
      - {allow: staff:read, reason: r, args: {level: any}}
      - {allow: staff:update, reason: r, args: {level: any}}
agents:
  bot: {owner: o, purpose: p, roles: [writer]}
gates:
  large: {on: "knowledge_base:update", args: {size: {over: 20}}, approvers: [editors]}
  staff: {on: "staff:update", approvers: [editors]}
"""
LONG = b"the first line\nthe second line\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> AsyncGenerator[Desk]:
    files = {f"kb/{name}.md": "the first line\n" for name in "abcdefg"}
    async with files_here(POLICY, {**files, "hr/pay.txt": CANARY}) as found:
        yield found


async def ask(desk: Desk, what: str, **fields: Json) -> Mapping[str, Json]:
    """Ask the gateway as somebody on its machine does."""
    client = AdminClient(desk.gateway.config.admin_socket)
    return await asyncio.to_thread(client.ask, what, fields)


async def decide(desk: Desk, held: object, verb: str, **more: Json) -> Mapping[str, Json]:
    """Approve or deny what is held; return how it stood."""
    assert isinstance(held, NotDone)
    assert held.approval is not None
    shown = cast("Mapping[str, Json]", (await ask(desk, "approval.show", approval=held.approval.id))["approval"])
    digest: dict[str, Json] = {"digest": shown["digest"]} if verb == "approve" else {}
    await ask(desk, f"approval.{verb}", approval=held.approval.id, **digest, **more)
    return shown


async def test_a_held_write_shows_its_diff_and_runs_once_as_it_was_shown(desk: Desk) -> None:
    bot = await desk.agent()
    held = await bot.write("kb/a.md", LONG)
    assert code(held) == "needs_approval"
    assert (desk.root / "kb/a.md").read_bytes() == b"the first line\n"
    shown = await decide(desk, held, "approve")
    assert "+the second line" in json.dumps(shown)
    assert isinstance(await bot.write("kb/a.md", LONG), Written)
    assert (desk.root / "kb/a.md").read_bytes() == LONG
    assert code(await bot.write("kb/a.md", LONG)) == "needs_approval"


async def test_a_write_that_was_approved_is_held_anew_when_the_file_has_changed(desk: Desk) -> None:
    bot = await desk.agent()
    await decide(desk, await bot.write("kb/b.md", LONG), "approve")
    (desk.root / "kb/b.md").write_text("by somebody else\n")
    assert code(await bot.write("kb/b.md", LONG)) == "needs_approval"
    assert (desk.root / "kb/b.md").read_text() == "by somebody else\n"
    assert code(await bot.write("kb/b.md", LONG + b"another line\n")) == "needs_approval"


async def test_what_people_deny_is_not_written_and_what_no_gate_holds_is(desk: Desk) -> None:
    bot = await desk.agent()
    held = await bot.write("kb/c.md", LONG)
    await decide(desk, held, "deny", reason="no")
    assert (desk.root / "kb/c.md").read_bytes() == b"the first line\n"
    assert isinstance(await bot.write("kb/c.md", b"short\n"), Written)


async def test_a_deletion_is_held_and_shows_what_would_be_lost(desk: Desk) -> None:
    bot = await desk.agent()
    held = await bot.delete("kb/d.md")
    shown = await decide(desk, held, "approve")
    assert "-the first line" in json.dumps(shown)
    assert isinstance(await bot.delete("kb/d.md"), Written)
    assert not (desk.root / "kb/d.md").exists()


async def test_of_what_is_restricted_people_see_the_extent_alone(desk: Desk) -> None:
    bot = await desk.agent()
    held = await bot.write("hr/pay.txt", b"CANARY-new")
    shown = json.dumps(await decide(desk, held, "deny", reason="no"))
    assert "CANARY" not in shown
    assert "not shown" in shown
    assert (desk.root / "hr/pay.txt").read_text() == CANARY
    assert CANARY not in str(desk.records())


async def test_what_is_restricted_is_read_once_it_is_approved(desk: Desk) -> None:
    bot = await desk.agent()
    await decide(desk, await bot.read("hr/pay.txt"), "approve")
    assert await bot.read("hr/pay.txt") == CANARY.encode()
    assert code(await bot.read("hr/pay.txt")) == "needs_approval"


async def test_a_version_is_put_back_and_that_is_on_record(desk: Desk) -> None:
    bot = await desk.agent()
    await bot.write("kb/e.md", b"second\n")
    found = cast(
        "list[Mapping[str, Json]]", (await ask(desk, "files.versions", mount="docs", path="kb/e.md"))["versions"]
    )
    assert [each["replaced_by"] for each in found] == ["update"]
    await ask(desk, "files.restore", mount="docs", path="kb/e.md", version=found[0]["version"])
    assert (desk.root / "kb/e.md").read_text() == "the first line\n"
    assert any(each["kind"] == "file.restored" for each in desk.records())
    for wrong in ({"version": "nothing"}, {"path": "../hr/pay.txt", "version": "x"}, {"mount": "none", "version": "x"}):
        with pytest.raises(BailiwickError):
            await ask(desk, "files.restore", **{"mount": "docs", "path": "kb/e.md", **wrong})


async def test_a_quota_bounds_what_lies_in_the_mount(desk: Desk) -> None:
    bot = await desk.agent()
    assert code(await bot.write("kb/big.bin", b"x" * 250_000)) == "limit_exceeded"
    assert not (desk.root / "kb/big.bin").exists()
    made = [code(await bot.write(f"kb/n{number}.md", b"x")) for number in range(12)]
    assert made[0] == ""
    assert made[-1] == "limit_exceeded"


async def test_a_ceiling_of_a_grant_bounds_what_one_call_returns(desk: Desk) -> None:
    bot = await desk.agent()
    (desk.root / "kb/f.md").write_bytes(b"x" * 150_000)
    client = desk.client(bot)
    whole = await asyncio.to_thread(client.call, "read_file", path="kb/f.md")
    assert whole.code == "bytes_exceeded"
    part = await asyncio.to_thread(client.call, "read_file", path="kb/f.md", length=1000)
    assert part.data["more"] is True
    assert (await desk.http(bot, "GET", "kb/f.md"))[0] != 200
