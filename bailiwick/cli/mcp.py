"""`bailiwick mcp`: serve a client on standard streams, import clients' settings, connect clients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bailiwick.cli.quick import QuickCommand

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bailiwick.model.tool import LockedTool
    from bailiwick.mounts.mcp.importing.clients import Server
    from bailiwick.mounts.mcp.importing.credentials import Settled
    from bailiwick.mounts.mcp.importing.mounts import Mount

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_default_url = "http://127.0.0.1:6433/mcp"


@app.command(cls=QuickCommand)
def stdio(
    url: Annotated[str, typer.Option("--url", help="The gateway's endpoint; default: $BAILIWICK_MCP_URL.")] = "",
    token_file: Annotated[
        str, typer.Option("--token-file", help="File with the session's token; default: $BAILIWICK_TOKEN_FILE.")
    ] = "",
) -> None:
    """Be an MCP server on standard streams that passes everything on to the gateway. For clients to start.

    The session's token comes from a file or from $BAILIWICK_TOKEN, never from an argument."""
    import os
    import sys

    from bailiwick.mounts.mcp.bridge import Bridge, Place

    place = Place.of(url or os.environ.get("BAILIWICK_MCP_URL", "") or _default_url)
    token = _token(token_file or os.environ.get("BAILIWICK_TOKEN_FILE", ""), os.environ.get("BAILIWICK_TOKEN", ""))
    token()  # what is wrong with it is said now, not at the first message
    try:
        Bridge(place, token, sys.stdout.buffer).run(sys.stdin.buffer)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _token(file: str, given: str) -> Callable[[], str]:
    """Return what gives the token: a file's, read each time, or the environment's. Raises ConfigError."""
    from bailiwick.errors import ConfigError

    if not file and not given:
        raise ConfigError("there is no session token", remedy="set `BAILIWICK_TOKEN`, or give `--token-file`")
    if not file:
        return lambda: _clean(given)
    path = Path(file).expanduser()

    def read() -> str:
        try:
            with path.open("rb") as opened:
                import os

                others = os.fstat(opened.fileno()).st_mode & 0o077
                found = opened.read(64 * 1024)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise ConfigError(f"`{path}` cannot be read: {reason}", remedy="open a session anew") from None
        if others:
            raise ConfigError(f"`{path}` can be read by others", remedy=f"run `chmod 600 {path}`")
        return _clean(found.decode("ascii", "replace"))

    return read


def _clean(token: str) -> str:
    from bailiwick.errors import ConfigError

    found = token.strip()
    if not found.isascii() or not found.isprintable() or " " in found or not found:
        raise ConfigError("that is no session token", remedy="open a session: `bailiwick session open`")
    return found


@app.command("import")
def import_servers(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Settings of Claude Desktop or Code, Cursor or VS Code.")
    ] = None,
    url: Annotated[str, typer.Option("--url", help="A running server, in place of a file.")] = "",
    token_env: Annotated[str, typer.Option("--token-env", metavar="NAME", help="Variable with its bearer token.")] = "",
    run: Annotated[str, typer.Option("--run", metavar="COMMAND", help="A server to start, in place of a file.")] = "",
    name: Annotated[str, typer.Option("--name", help="Of the mount, with --url or --run.")] = "server",
    start: Annotated[bool, typer.Option("--start/--no-start", help="Ask the servers for their tools.")] = True,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: standard output.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write mounts from a client's settings or a running server: every tool with a guessed action, nothing granted.

    The servers are started, or called, to list their tools. Credentials become references to the environment."""
    from bailiwick.errors import ConfigError
    from bailiwick.mounts.mcp.importing.credentials import References, settled
    from bailiwick.mounts.mcp.importing.mounts import as_data, as_policy, mounts_of

    if sum((file is not None, bool(url), bool(run))) != 1:
        known = ", ".join(f"`{path}`" for path in _known_files()) or "a client's settings"
        raise ConfigError("say what to import: a file, --url or --run", remedy=f"for example {known}")
    if out is not None and out.exists():
        raise ConfigError(f"`{out}` exists already", remedy="give another file with `--out`, or remove it")
    references = References()
    servers = _servers(file, url, token_env, run, name)
    usable = [each for each in servers if (each.command or each.url) and not _is_ours(each)]
    known = [settled(server, references) for server in usable]
    mounts = mounts_of(
        [(each, _tools(server, each) if start else None) for server, each in zip(usable, known, strict=True)]
    )
    if as_json:
        import json

        text = json.dumps(as_data(mounts), indent=2, ensure_ascii=False) + "\n"
    else:
        text = as_policy(mounts)
    _deliver(text, out, mounts)


def _servers(file: Path | None, url: str, token_env: str, run: str, name: str) -> Sequence[Server]:
    import shlex

    from bailiwick.errors import ConfigError
    from bailiwick.mounts.mcp.importing.clients import Server, read_servers

    if file is not None:
        try:
            return read_servers(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"`{file}` cannot be read", remedy="name the settings of an MCP client") from None
    if url:
        return [Server(name, url=url, headers={"Authorization": f"Bearer ${{{token_env}}}"} if token_env else {})]
    try:
        return [Server(name, command=tuple(shlex.split(run)))]
    except ValueError:
        raise ConfigError("`--run` is not a command", remedy="close its quotation marks") from None


def _is_ours(server: Server) -> bool:
    """Return whether a server is the gateway itself."""
    return "bailiwick" in " ".join(server.command[:1]) and server.command[1:3] == ("mcp", "stdio")


def _known_files() -> list[Path]:
    home = Path.home()
    places = (
        home / "Library/Application Support/Claude/claude_desktop_config.json",
        home / ".config/Claude/claude_desktop_config.json",
        home / "AppData/Roaming/Claude/claude_desktop_config.json",
        home / ".cursor/mcp.json",
        Path(".cursor/mcp.json"),
        Path(".vscode/mcp.json"),
        Path(".mcp.json"),
    )
    return [path for path in places if path.is_file()]


def _tools(server: Server, settled: Settled) -> Mapping[str, LockedTool] | None:
    """Ask a server for its tools, as the client would have started it; None when it cannot be asked."""
    import asyncio
    import os

    from bailiwick.errors import BailiwickError
    from bailiwick.model.policy import SecretRef
    from bailiwick.model.tool import McpMount
    from bailiwick.mounts.mcp.accepting import server_tools

    environ = {**os.environ, **settled.values}
    mount = McpMount(
        server.name,
        server.command,
        SecretRef(settled.url) if settled.url else None,
        {},
        {},
        {name: SecretRef(text) for name, text in settled.env.items()},
        {name: SecretRef(text) for name, text in settled.headers.items()},
    )
    try:
        return asyncio.run(server_tools(mount, environ, Path.cwd()))
    except BailiwickError as error:
        typer.echo(f"warning: {error.message}" + (f"; {error.remedy}" if error.remedy else ""), err=True)
        return None


def _deliver(text: str, out: Path | None, mounts: Sequence[Mount]) -> None:
    from bailiwick.errors import ConfigError

    if out is None:
        typer.echo(text, nl=False)
    else:
        try:
            with out.open("x", encoding="utf-8") as opened:
                opened.write(text)
        except OSError as error:
            reason = (error.strerror or "failed").lower()
            raise ConfigError(f"`{out}` cannot be written: {reason}", remedy="give another file with `--out`") from None
        typer.echo(f"wrote {out}")
    tools = sum(len(mount.tools) for mount in mounts)
    typer.echo(f"{len(mounts)} servers, {tools} tools; nothing is granted yet", err=True)
    for mount in mounts:
        for note in mount.notes:
            typer.echo(f"  {mount.name}: {note}", err=True)


@app.command()
def connect(
    client: Annotated[str, typer.Option("--client", help="Only for this one, e.g. vscode.")] = "",
    url: Annotated[
        str, typer.Option("--url", help="The endpoint, as clients reach it; default: ask the gateway.")
    ] = "",
    token_file: Annotated[
        Path, typer.Option("--token-file", help="Where clients that start a command find the token.")
    ] = Path("~/.bailiwick-token"),
    policy: Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")] = Path("policy.yaml"),
    config: Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what to paste into MCP clients. The token stands in none of it, and in no argument."""
    import shutil
    import sys

    from bailiwick.errors import ConfigError
    from bailiwick.mounts.mcp.bridge import Place
    from bailiwick.mounts.mcp.importing.pastes import pastes

    place = url or _endpoint(policy, config)
    Place.of(place)
    program = shutil.which("bailiwick") or str(Path(sys.prefix) / "bin" / "bailiwick")
    found = pastes(program, place, str(token_file.expanduser().absolute()))
    chosen = [each for each in found if client in ("", each.client)]
    if not chosen:
        names = ", ".join(f"`{each.client}`" for each in found)
        raise ConfigError(f"`{client}` is no client that is known", remedy=f"one of {names}")
    if as_json:
        import json

        said = [{"client": x.client, "file": x.file, "settings": x.settings, "note": x.note} for x in chosen]
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    for each in chosen:
        typer.echo(f"# {each.client}: into {each.file}; {each.note}")
        typer.echo(each.text + "\n")


def _endpoint(policy: Path, config: Path | None) -> str:
    """Ask the gateway that runs where its endpoint is."""
    from typing import cast

    from bailiwick.cli.asking import client_of
    from bailiwick.errors import ConfigError

    status = client_of(policy, config).ask("status", {})
    front = cast("Mapping[str, Mapping[str, object]]", status["fronts"]).get("mcp")
    if front is None:
        raise ConfigError("the gateway serves no MCP", remedy="give the policy a mount of kind `mcp` or `sql`")
    return str(front["url"])
