"""Attacks by paths: each leads nowhere, whatever is asked with it, and beside each stands a path that works."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from bailiwick.match.file_paths import folded, path_problem
from bailiwick.mounts.files.admission import NotDone
from bailiwick.mounts.files.looking import Listing
from bailiwick.mounts.files.writing import Written
from tests.files.files_rig import CANARY, Desk, files_here

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("files_attacks")]

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    root: root
    resources:
      everything: {paths: ["**"]}
      staff: {paths: ["hr/**"]}
    labels: {"plans/**": restricted}
roles:
  writer:
    grants:
      - {allow: everything:*, args: {level: [public, internal]}, reason: r}
      - {deny: everything:*, args: {path: {prefix: kb/private/}}}
agents:
  bot: {owner: o, purpose: p, roles: [writer]}
gates:
  delete: {loosen: [everything:delete], reason: what is deleted is kept}
"""
SECRETS = {
    "hr/pay.txt": CANARY,
    "hr/deep/pay.txt": CANARY,
    "plans/p.txt": CANARY,
    "kb/private/x.txt": CANARY,
}
PLAIN = {
    "kb/a.txt": "plain",
    "kb/deep/er/b.txt": "plain",
    "kb/with space.txt": "plain",
    "kb/größe.txt": "plain",
    "kb/日本.txt": "plain",
    "kb/a.b.c.txt": "plain",
    "kb/UPPER.txt": "plain",
    "kb/-dash.txt": "plain",
    "kb/.hidden": "plain",
    "kb/a+b,c;d=e@f.txt": "plain",
    "kb/privateer.txt": "plain",
    "kb/hrx/pay.txt": "plain",
    "hrx/pay.txt": "plain",
    "kb/100%.txt": "plain",
    "kb/emoji🙂.txt": "plain",
}
DOTS = ["..", ".", "...", ". .", ".. ", " ..", "..;", "..%2f", "%2e%2e", "%2E%2E", "%252e%252e", ".%2e", "%2e."]
CLIMBING = [
    *(f"kb/{dots}/hr/pay.txt" for dots in DOTS),
    *(f"{dots}/root/hr/pay.txt" for dots in DOTS),
    *("kb/deep/../../hr/pay.txt", "kb/deep/er/../../../hr/pay.txt", "kb/..//hr/pay.txt", "./hr/pay.txt"),
    *("kb/./../hr/pay.txt", "../../../../etc/passwd", "kb/../../../../etc/passwd", "..", "kb/..", "kb/../"),
]
ENCODED = [
    *("%68r/pay.txt", "hr%2fpay.txt", "hr%2Fpay.txt", "hr%5cpay.txt", "kb%2f..%2fhr%2fpay.txt", "%252e%252e%252fhr"),
    *("kb/%c0%ae%c0%ae/hr/pay.txt", "kb/%c0%af..%c0%afhr/pay.txt", "kb/%e0%80%ae/hr/pay.txt", "kb/%u002e%u002e/hr"),
    *("&#46;&#46;/hr/pay.txt", "kb/\\x2e\\x2e/hr/pay.txt", "kb/\\u002e\\u002e/hr/pay.txt", "kb/a.txt%00.md"),
    *("kb/a.txt%0a", "kb/%2e%2e%5chr", "kb/a.txt%20", "%2fetc%2fpasswd"),
]
SEPARATED = [
    *("kb\\..\\hr\\pay.txt", "kb/..\\hr/pay.txt", "hr\\pay.txt", "\\hr\\pay.txt", "kb/\\..\\hr", "..\\..\\etc\\passwd"),
    *("/hr/pay.txt", "//hr/pay.txt", "hr//pay.txt", "hr/pay.txt/", "/etc/passwd", "///", "/", "kb//private/x.txt"),
    *("C:/hr/pay.txt", "C:\\hr", "c:hr/pay.txt", "\\\\server\\share", "//server/share", "\\\\?\\C:\\hr", "\\\\.\\C:"),
    *("file:///etc/passwd", "file:hr/pay.txt", "s3://bucket/key", "kb/a.txt:stream", "kb/a.txt::$DATA", "hr::$INDEX"),
    *("~/hr/pay.txt", "~root/.ssh/id", "kb/~/x", "$HOME/x:y", "kb/a|b", "kb/<a>", "kb/a?b", "kb/*", "**", 'kb/"a"'),
]
UNSEEN = [
    *("hr/pay.txt\x00.md", "kb/\x00", "\x00hr/pay.txt", "kb/a\nb", "kb/a\rb", "kb/a\tb", "kb/\x1b[31m", "kb/a\x7f"),
    *("kb/a\u200b.txt", "h\u200br/pay.txt", "kb/\u202etxt.a", "kb/a\u2028b", "kb/a\u2029b", "kb/\ufeffa.txt"),
    *("hr/pay.txt ", "hr /pay.txt", " hr/pay.txt", "hr./pay.txt", "hr/pay.txt.", "hr/pay.txt..", "hr/pay.txt. ."),
    *("kb/a\u00a0b.txt", "kb/\u3000a.txt", "kb/a\u00ad.txt", "kb/\u2066a.txt", "kb/a\ue000.txt", "kb/\ud800a"),
]
LOOKALIKES = [
    *("kb/\uff0e\uff0e/hr/pay.txt", "kb/\u2024\u2024/hr/pay.txt", "kb/\u2025/hr/pay.txt", "kb/\u2026/hr/pay.txt"),
    *(
        "hr\uff0fpay.txt",
        "hr\u2215pay.txt",
        "hr\u2044pay.txt",
        "hr\u29f8pay.txt",
        "hr\uff3cpay.txt",
        "kb/\ufe52\ufe52/hr",
    ),
    *(unicodedata.normalize("NFD", "kb/größe.txt"), "kb/\u212bngstr.txt", "kb/o\u0308.txt", "kb/e\u0301.txt"),
]
CASES = [
    *(
        "HR/pay.txt",
        "Hr/pay.txt",
        "hR/PAY.TXT",
        "\uff48\uff52/pay.txt",
        "\u210br/pay.txt",
        "PLANS/p.txt",
        "Plans/P.txt",
    ),
    *(
        "plan\u017f/p.txt",
        "pl\u1d43ns/p.txt",
        "KB/PRIVATE/x.txt",
        "kb/Private/x.txt",
        "kb/pr\u0131vate/../private/x.txt",
    ),
    *("kb/priv\uff41te/x.txt", "kb/PRIVATE/X.TXT", "ⓗⓡ/pay.txt"),
]
NAMES = [
    *(
        "con",
        "kb/CON",
        "kb/nul.txt",
        "kb/aux.md",
        "kb/com1",
        "kb/LPT9.txt",
        "kb/com¹",
        "prn/x",
        "kb/PROGRA~1",
        "kb/A~1.TXT",
    ),
    *(".bailiwick-0123456789abcdef", "kb/.bailiwick-x", "kb/.BAILIWICK-x", "", "x" * 201, "kb/" + "é" * 101),
    *("/".join("a" * 3 for _ in range(33)), "a/" * 600 + "b", "ä" * 600),
]
LINKS = [
    *(
        "kb/link.txt",
        "kb/up/pay.txt",
        "kb/up/deep/pay.txt",
        "kb/absolute/passwd",
        "kb/hard.txt",
        "kb/pipe",
        "kb/socket",
    ),
    *("kb/loop/loop/a.txt", "kb/dangling.txt", "kb/deep/link/pay.txt", "kb/proc/self/environ", "kb/self/hr/pay.txt"),
]
HIDDEN = [
    "hr/pay.txt",
    "hr/deep/pay.txt",
    "plans/p.txt",
    "kb/private/x.txt",
    "kb/private/new.txt",
    "hr/new.txt",
    "hr",
    "kb",
]
CORPUS = [*CLIMBING, *ENCODED, *SEPARATED, *UNSEEN, *LOOKALIKES, *CASES, *NAMES, *LINKS, *HIDDEN]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def desk() -> AsyncGenerator[Desk]:
    async with files_here(POLICY, {**SECRETS, **PLAIN, "hr/linked.txt": CANARY}) as found:
        kb = found.root / "kb"
        (kb / "link.txt").symlink_to("../hr/pay.txt")
        (kb / "up").symlink_to("../hr")
        (kb / "absolute").symlink_to("/etc")
        (kb / "proc").symlink_to("/proc")
        (kb / "loop").symlink_to("loop")
        (kb / "self").symlink_to("..")
        (kb / "dangling.txt").symlink_to("../hr/made.txt")
        (kb / "deep/link").symlink_to("../../hr")
        os.link(found.root / "hr/linked.txt", kb / "hard.txt")
        os.mkfifo(kb / "pipe")
        os.mknod(kb / "socket", 0o140600)
        yield found


def _state(desk: Desk) -> dict[str, bytes]:
    """Return every file that is one, with its content, without what the twins wrote."""
    found = {str(each.relative_to(desk.root)): each for each in desk.root.rglob("*") if not each.is_symlink()}
    return {name: each.read_bytes() for name, each in found.items() if each.is_file() and "twin" not in name}


@pytest.mark.parametrize("batch", [*range(8)])
async def test_no_path_of_the_corpus_leads_anywhere(desk: Desk, batch: int) -> None:
    assert len(set(CORPUS)) >= 150
    bot = await desk.agent()
    before = _state(desk)
    for number, path in enumerate(CORPUS[batch::8]):
        done = [
            await bot.read(path),
            await bot.write(path, b"evil"),
            await bot.delete(path),
            await bot.move(path, f"kb/stolen{number}.txt"),
            await bot.move("kb/a.txt", path),
        ]
        assert all(isinstance(each, NotDone) for each in done), (path, done)
        listed, searched = await bot.list(path), await bot.search(CANARY, path)
        assert CANARY not in f"{done}{listed}{searched}", path
        assert "pay.txt" not in str(listed).replace("hrx/pay.txt", ""), path
    assert _state(desk) == before
    assert CANARY not in str(desk.records())


@pytest.mark.parametrize("path", [*PLAIN])
async def test_the_twins_of_the_attacks_work(desk: Desk, path: str) -> None:
    assert path_problem(path) == ""
    assert folded(path) == folded(path.upper())
    bot = await desk.agent()
    assert await bot.read(path) == b"plain"
    name = f"{path}.twin"
    assert isinstance(await bot.write(name, b"one"), Written)
    assert isinstance(await bot.write(name, b"two"), Written)
    assert isinstance(await bot.move(name, f"{name}2"), Written)
    assert isinstance(await bot.delete(f"{name}2"), Written)


async def test_a_list_of_everything_shows_the_scope_alone(desk: Desk) -> None:
    bot = await desk.agent()
    listed = await bot.list("", deep=True)
    assert isinstance(listed, Listing)
    shown = {each.path for each in listed.entries if "twin" not in each.path}
    assert shown == set(PLAIN)
