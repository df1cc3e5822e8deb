"""What the README says is checked against the program: its commands, its policy, its links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bailiwick.cli.main import app, commands
from bailiwick.gateway import settings
from bailiwick.model.mask import mask_names
from bailiwick.policy import agents, grants, matchers, mounts
from bailiwick.policy import load as load_module
from bailiwick.policy.load import load

root = Path(__file__).parent.parent
pages = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


def shell_lines(text: str) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        yield from block.splitlines()


def invocations() -> list[tuple[str, ...]]:
    found: dict[tuple[str, ...], None] = {}
    for page in pages:
        for line in shell_lines(page.read_text(encoding="utf-8")):
            bare = re.sub(r'^eval "\$\((.*)\)"$', r"\1", line.strip())
            if bare.startswith("bailiwick "):
                found.setdefault(tuple(shlex.split(bare, comments=True)[1:]))
    return list(found)


def policies() -> list[tuple[str, str]]:
    blocks = [
        (page.name, re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)) for page in pages
    ]
    return [(name, block) for name, found in blocks for block in found if block.startswith("bailiwick: 1")]


def test_the_documentation_shows_commands_and_a_policy() -> None:
    assert len(invocations()) > 8
    assert "README.md" in [name for name, _ in policies()]


@pytest.mark.parametrize("words", invocations(), ids=" ".join)
def test_a_documented_command_exists_with_its_options(words: tuple[str, ...]) -> None:
    name = words[0]
    assert name in commands
    grouped = commands[name].group and not words[1].startswith("-")  # some groups do something by themselves
    path = words[:2] if grouped else words[:1]
    shown = CliRunner().invoke(app, [*path, "--help"], prog_name="bailiwick")
    if "COMMAND [ARGS]" in shown.output and len(words) > len(path) and not words[len(path)].startswith("-"):
        path = words[: len(path) + 1]  # a group within a group: `policy shadow start`
        shown = CliRunner().invoke(app, [*path, "--help"], prog_name="bailiwick")
    assert shown.exit_code == 0, shown.output
    for word in words[len(path) :]:
        if word.startswith("-"):
            assert re.search(rf"(^|\s){re.escape(word.partition('=')[0])}(\s|,|$)", shown.output), word


@pytest.mark.parametrize(("page", "text"), policies())
def test_a_documented_policy_is_without_problems(page: str, text: str) -> None:
    assert load({page: text}).problems == ()


def test_the_policy_of_the_readme_has_thirty_lines_at_most() -> None:
    (policy,) = [text for name, text in policies() if name == "README.md"]
    assert len(policy.splitlines()) <= 30


def test_documented_make_targets_exist() -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = {
        words[1]
        for page in pages
        for line in shell_lines(page.read_text(encoding="utf-8"))
        if (words := line.split()) and words[0] == "make"
    }
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_setting_of_the_gateway_is_documented() -> None:
    text = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    for name, key in settings.keys.items():
        assert f"| `{name}` | {f'`{key.default}`' if key.default else ''} |" in text


def test_every_key_of_the_policy_is_documented() -> None:
    text = (root / "docs" / "policy.md").read_text(encoding="utf-8")
    known = {
        *(*mounts.mount_keys, *mounts.resource_keys, *grants.role_keys, *grants.grant_keys),
        *(*matchers.matcher_keys, *agents.agent_keys, *agents.session_keys, *agents.task_keys),
        *(*agents.context_keys, *agents.narrowing_keys, *load_module.named_sections, *load_module.single_sections),
        *mask_names,
    }
    for key in known:
        assert re.search(rf"\b{key}\b", text), key


@pytest.mark.parametrize("page", pages, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
