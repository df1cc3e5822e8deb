"""What to paste into MCP clients, so that they speak to the gateway. The token stands in none of it. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

Json = object


@dataclass(frozen=True, slots=True)
class Paste:
    """For one client: into which file, what, and what else is to be known."""

    client: str
    file: str
    settings: Mapping[str, Json]
    note: str

    @property
    def text(self) -> str:
        """Return the settings as text."""
        return json.dumps(self.settings, indent=2, ensure_ascii=False)


def pastes(program: str, url: str, token_file: str) -> tuple[Paste, ...]:
    """Return what each client is given. `program`: how `bailiwick` is started; `token_file`: where a token will be."""
    command: dict[str, Json] = {"command": program, "args": ["mcp", "stdio", "--url", url, "--token-file", token_file]}
    kept = f"the token stands in {token_file}: bailiwick session open … --token-file {token_file}"
    given = "the client is to be started with the session's token in BAILIWICK_TOKEN"

    def header(reference: str) -> dict[str, Json]:
        return {"url": url, "headers": {"Authorization": f"Bearer {reference}"}}

    def typed(reference: str) -> dict[str, Json]:
        return {"type": "http", **header(reference)}

    asked: dict[str, Json] = {
        "type": "promptString",
        "id": "bailiwick-token",
        "description": "Session token of Bailiwick",
        "password": True,
    }
    return (
        Paste("claude-desktop", "claude_desktop_config.json", {"mcpServers": {"bailiwick": command}}, kept),
        Paste("claude-code", ".mcp.json", {"mcpServers": {"bailiwick": typed("${BAILIWICK_TOKEN}")}}, given),
        Paste("cursor", ".cursor/mcp.json", {"mcpServers": {"bailiwick": header("${env:BAILIWICK_TOKEN}")}}, given),
        Paste(
            "vscode",
            ".vscode/mcp.json",
            {"inputs": [asked], "servers": {"bailiwick": typed("${input:bailiwick-token}")}},
            "the editor asks for the session's token and keeps it",
        ),
        Paste("stdio", "any client that starts its servers", command, kept),
    )
