"""`bailiwick mcp import`: clients' settings and running servers as mounts, without a credential in them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bailiwick.cli.mcp import app
from bailiwick.errors import ConfigError
from bailiwick.model.policy import Policy
from bailiwick.mounts.mcp.importing.clients import Server, read_servers
from bailiwick.mounts.mcp.importing.credentials import REMOVED, References, looks_secret, settled
from bailiwick.mounts.mcp.importing.guess import guesses
from bailiwick.mounts.mcp.importing.mounts import as_policy, mounts_of
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_tool

SERVER = str(Path(__file__).parents[1] / "support" / "mcp_server.py")
CLAUDE = """
{"mcpServers": {
  "help desk": {
    "command": PYTHON,
    "args": [SERVER],
    "env": {"SECRET": "CANARY-env-4711", "CALLS": "FOLDER/calls", "LOG_LEVEL": "debug"}
  },
  "bailiwick": {"command": "/usr/bin/bailiwick", "args": ["mcp", "stdio"]}
}}
"""
VSCODE = """
{ // as the editor writes it
  "inputs": [{"type": "promptString", "id": "api-key", "password": true,},],
  "servers": {
    "remote": {"type": "http", "url": "https://mcp.example/v1/mcp", /* what for */
      "headers": {"Authorization": "Bearer CANARYbearer", "X-Api-Key": "${input:api-key}", "X-Team": "CANARY//team"}},
    "keyed": {"url": "https://mcp.example/mcp?apiKey=CANARYquery"},
    "boxed": {"command": "docker", "args": ["run", "-i", "-e", "GH_TOKEN=CANARYboxed", "ghcr.io/x/y"]},
    "argued": {"command": "npx", "args": ["-y", "@scope/server-postgres", "postgresql://u:CANARYpw@db/x", "--api-key",
      "CANARYflag", "--token=CANARYequals", "--header", "Authorization: Bearer CANARYhead", "/srv/data"]},
  },
}
"""


def loaded(text: str) -> Policy:
    """Return the policy of a text that has no problem."""
    found = load({"policy.yaml": text})
    assert found.problems == ()
    assert found.policy is not None
    return found.policy


def test_servers_are_asked_and_their_tools_mapped(tmp_path: Path) -> None:
    text = CLAUDE.replace("PYTHON", json.dumps(sys.executable)).replace("SERVER", json.dumps(SERVER))
    (tmp_path / "claude.json").write_text(text.replace("FOLDER", str(tmp_path)))
    out = tmp_path / "policy.yaml"
    result = CliRunner().invoke(app, ["import", str(tmp_path / "claude.json"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    policy = loaded(out.read_text())
    assert not policy.agents
    assert not policy.roles
    mount = policy.mcp["help_desk"]
    assert {name: str(tool.action) for name, tool in mount.tools.items()} == {
        "search": "help_desk:read",
        "refund": "refund:call",
        "echo": "echo:call",
        "misbehave": "misbehave:call",
        "unmapped": "unmapped:call",
    }
    assert mount.tools["refund"].effects == {"money"}
    assert {name: ref.text for name, ref in mount.env.items()} == {
        "SECRET": "${SECRET}", "CALLS": "${CALLS}", "LOG_LEVEL": "debug"
    }  # fmt: skip
    assert [*policy.mcp] == ["help_desk"]  # not the gateway itself
    assert "CANARY-env" not in out.read_text() + result.output
    again = CliRunner().invoke(app, ["import", str(tmp_path / "claude.json"), "--out", str(out)])
    assert isinstance(again.exception, ConfigError)


def test_a_running_server_is_imported_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["import", "--run", f"{sys.executable} {SERVER}", "--name", "desk", "--json"])
    assert result.exit_code == 0, result.output
    mount = cast("dict[str, dict[str, object]]", json.loads(result.stdout)["mounts"])["desk"]
    assert len(cast("dict[str, object]", mount["tools"])) == 5
    assert isinstance(CliRunner().invoke(app, ["import"]).exception, ConfigError)


def test_no_credential_of_any_form_reaches_the_output(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(VSCODE)
    for form in ([], ["--json"]):
        result = CliRunner().invoke(app, ["import", str(file), "--no-start", *form])
        assert result.exit_code == 0, result.output
        assert "CANARY" not in result.output
    policy = loaded(CliRunner().invoke(app, ["import", str(file), "--no-start"]).stdout)
    headers = {name: ref.text for name, ref in policy.mcp["remote"].headers.items()}
    assert headers == {
        "Authorization": "Bearer ${REMOTE_TOKEN}", "X-Api-Key": "${API_KEY}", "X-Team": "${REMOTE_X_TEAM}"
    }  # fmt: skip
    keyed, remote = policy.mcp["keyed"].url, policy.mcp["remote"].url
    assert keyed is not None
    assert remote is not None
    assert (keyed.text, remote.text) == ("${KEYED_URL}", "https://mcp.example/v1/mcp")
    assert policy.mcp["boxed"].command == ("docker", "run", "-i", "-e", "GH_TOKEN", "ghcr.io/x/y")
    assert policy.mcp["boxed"].env["GH_TOKEN"].text == "${GH_TOKEN}"
    argued = policy.mcp["argued"].command
    assert argued == (
        "npx", "-y", "@scope/server-postgres", REMOVED, "--api-key", REMOVED, f"--token={REMOVED}", "--header", REMOVED,
        "/srv/data",
    )  # fmt: skip


def test_settings_that_are_none_are_refused() -> None:
    for text in ("", "[]", "{}", '{"mcpServers": 3}', '{"a": "// no comment, ]"'):
        with pytest.raises(ConfigError):
            read_servers(text, "x.json")
    assert read_servers('{"mcpServers": {"a": {"url": "http://h/,]//x"}}}', "x")[0].url == "http://h/,]//x"
    assert read_servers('{"mcp": {"servers": {"a": {"command": "x"}}}}', "x")[0].command == ("x",)


@pytest.mark.parametrize(
    ("tool", "hints", "action", "effects"),
    [
        ("get_issue", {}, "issues:read", ()),
        ("list_issues", {}, "issues:read", ()),
        ("createIssue", {}, "issues:create", ()),
        ("issue_delete", {}, "issues:delete", ("irreversible",)),
        ("send_email", {}, "email:send", ("external",)),
        ("execute_query", {"readOnlyHint": True}, "query:execute", ()),
        ("read_all", {"destructiveHint": True}, "m:call", ("irreversible",)),
        ("transfer-funds", {"readOnlyHint": True}, "funds:transfer", ("money",)),
        ("read_query", {"readOnlyHint": True}, "read_query:call", ()),
        ("fetch", {}, "m:call", ("external",)),
        ("ping", {"readOnlyHint": True}, "ping:call", ()),
    ],
)
def test_an_action_is_guessed_from_the_name_and_hints_make_it_only_more_careful(
    tool: str, hints: dict[str, object], action: str, effects: tuple[str, ...]
) -> None:
    names = ("list_issues", tool)
    found = guesses("m", [locked_tool(name, {"name": name, "annotations": hints}) for name in names])[tool]
    assert (f"{found.resource}:{found.verb}", found.effects) == (action, effects)


def test_what_is_no_credential_stays() -> None:
    for text in ("-y", "@modelcontextprotocol/server-filesystem", "/home/ada/projects", "https://mcp.example/mcp",
                 "--read-only", "server-everything@2026.8.31", "ghcr.io/github/github-mcp-server"):  # fmt: skip
        assert not looks_secret(text), text
    for text in ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sk-abc", "https://u:p@h/x", "KEY=1", "${X}"):
        assert looks_secret(text), text


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


servers_of_any_kind = st.tuples(
    texts, st.lists(texts, max_size=3), st.dictionaries(texts, texts, max_size=3), st.lists(texts, max_size=5)
)


@given(st.lists(servers_of_any_kind, min_size=1, max_size=4))
def test_settings_of_any_names_become_a_policy_that_can_be_read(
    found: list[tuple[str, list[str], dict[str, str], list[str]]],
) -> None:
    references = References()
    servers = [Server(name, ("run", *args), env=env) for name, args, env, _ in found]
    tools = [{key: locked_tool(key, {"name": key}) for key in keys} for _, _, _, keys in found]
    made = mounts_of([(settled(server, references), each) for server, each in zip(servers, tools, strict=True)])
    policy = loaded(as_policy(made))
    assert len(policy.mcp) == len(servers)
