"""`bailiwick doctor`: each finding, and beside it the same place where all is well."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bailiwick.control.doctor_files import files_findings, others
from bailiwick.errors import ConfigError
from bailiwick.gateway.config import load_config
from bailiwick.gateway.doctor.agent import (
    Target,
    environment_findings,
    home_findings,
    is_session_token,
    parse_target,
)
from bailiwick.gateway.doctor.database import clock_finding
from bailiwick.gateway.doctor.files import file_findings
from bailiwick.gateway.doctor.finding import Finding
from bailiwick.gateway.doctor.listeners import Listener, listener_findings
from bailiwick.gateway.keys import load_keys, make_data_dir
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.model.session import Session
from bailiwick.policy.load import load
from tests.support.certificates import certificate
from tests.support.forked import said
from tests.support.postgres import Database

CANARY = "CANARY-4f1d0c"
POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers: {table: public.customers, key: customer_id}
"""
SCRIPT = """
CREATE TABLE public.customers (customer_id int PRIMARY KEY, name text);
CREATE TABLE public.salaries (person text, amount int);
"""
NOW = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """What a run of the command said."""

    code: int
    text: str
    found: tuple[Finding, ...]

    def levels(self, check: str) -> dict[str, str]:
        return {each.message: each.level for each in self.found if each.check == check}


def doctor(*arguments: str | Path, env: Mapping[str, str] | None = None) -> Told:
    """Run the command in an environment of its own."""
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})}
    done = said(Path.cwd(), environ, "doctor", *map(str, arguments), "--json")
    rows = cast("list[dict[str, str]]", json.loads(done.stdout)) if done.returncode in (0, 1) else []
    found = tuple(Finding(r["check"], r["level"], r["message"], r["remedy"]) for r in rows)  # pyright: ignore[reportArgumentType]  # any level is compared below
    return Told(done.returncode, done.stdout + done.stderr, found)


def findings_of(found: Iterator[Finding]) -> dict[str, str]:
    return {each.message: each.level for each in found}


def bad(found: Mapping[str, str]) -> list[str]:
    return [f"{level}: {message}" for message, level in found.items() if level != "ok"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    path.chmod(0o644)
    return path


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


# The database's side


@pytest.fixture
def crm(new_database: Callable[[str], Database]) -> Iterator[tuple[Database, str]]:
    """A database, and a role that no one else uses."""
    made = new_database(SCRIPT)
    role = f"doctored_{made.name}"
    made.script(f"CREATE ROLE {role} LOGIN PASSWORD '{CANARY}'; GRANT SELECT ON public.customers TO {role}")
    yield made, role
    made.script(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_narrow_role_is_well_and_each_right_beyond_is_a_warning(crm: tuple[Database, str], policy: Path) -> None:
    database, role = crm
    url = database.url(role, CANARY)
    narrow = doctor(policy, env={"CRM_URL": url})
    assert narrow.code == 0, narrow.text
    assert bad(narrow.levels("roles")) == []
    assert narrow.levels("backends") == {"mount `crm` is reached with the gateway's credential": "ok"}
    assert narrow.levels("clock") == {"this machine and mount `crm` have the same time": "ok"}

    database.script(f"""
        ALTER ROLE {role} CREATEROLE BYPASSRLS; GRANT pg_read_server_files TO {role};
        ALTER TABLE public.customers OWNER TO {role}; GRANT SELECT (person), DELETE ON public.salaries TO {role};
    """)
    wide = doctor(policy, env={"CRM_URL": url})
    who = "warning: mount `crm`: the gateway's role"
    assert wide.code == 0
    assert bad(wide.levels("roles")) == [
        f"{who} `{role}` may create roles (CREATEROLE)",
        f"{who} `{role}` passes by row security (BYPASSRLS)",
        f"{who} `{role}` can act as `pg_read_server_files`",
        f"{who} owns `public.customers`",
        f"{who} can read what is no resource: `public.salaries`",
        f"{who} can write what is no resource: `public.salaries`",
    ]
    assert CANARY not in narrow.text + wide.text


def test_a_superuser_is_a_warning_and_a_refused_login_a_problem_without_its_password(
    crm: tuple[Database, str], policy: Path
) -> None:
    database, role = crm
    told = doctor(policy, env={"CRM_URL": database.url()})
    assert told.code == 0
    assert any("is a superuser" in message for message in bad(told.levels("roles")))
    refused = doctor(policy, env={"CRM_URL": database.url(role, CANARY + "x")})
    assert refused.code == 1
    assert any("the login was refused" in message for message in refused.levels("backends"))
    assert CANARY not in refused.text
    unset = doctor(policy)
    assert unset.code == 1
    assert any("`CRM_URL` is not set" in message for message in unset.levels("backends"))


class Guarded(BaseHTTPRequestHandler):
    """An API that knows one credential."""

    def do_HEAD(self) -> None:  # the library's name
        """Answer."""
        self.send_response(200 if self.headers["Authorization"] == CANARY else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


@pytest.fixture
def api() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Guarded) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def test_files_servers_and_apis_are_reached_or_not_side_by_side(tmp_path: Path, api: int, closed: int) -> None:
    def of_api(name: str, port: int) -> str:
        return f"""
  {name}:
    kind: http
    url: http://127.0.0.1:{port}
    credential: {{header: {{Authorization: "${{API_KEY}}"}}}}
    resources: {{{name}_things: {{}}}}
    routes: {{"GET /things": {{action: "{name}_things:read"}}}}"""

    def of_file(name: str) -> str:
        return f"""
  {name}: {{kind: sql, engine: sqlite, file: {name}.db, resources: {{{name}_notes: {{table: notes, key: id}}}}}}"""

    def of_server(name: str, script: Path) -> str:
        return f"""
  {name}:
    kind: mcp
    prefix: {name}_
    command: ["{sys.executable}", "{script}"]
    env: {{KEY: "${{API_KEY}}"}}
    resources: {{{name}_things: {{}}}}
    tools: {{search: {{action: "{name}_things:read"}}}}"""

    server = Path(__file__).parents[1] / "support" / "mcp_server.py"

    def of_files(name: str) -> str:
        return f"""
  {name}: {{kind: files, root: {name}, resources: {{{name}_all: {{paths: ["**"]}}}}}}"""

    for name, mode in (("folder", 0o700), ("wide", 0o757)):
        (tmp_path / name).mkdir(mode=mode)
        (tmp_path / name).chmod(mode)
    mounts = [of_api("api", api), of_api("noapi", closed), of_file("file"), of_file("nofile")]
    mounts += [of_files("folder"), of_files("wide"), of_files("nofolder")]
    mounts += [of_server("server", server), of_server("noserver", tmp_path / "none.py")]
    path = tmp_path / "policy.yaml"
    path.write_text("bailiwick: 1\nmounts:" + "".join(mounts))
    with closing(sqlite3.connect(tmp_path / "file.db")) as file:
        file.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    told = doctor(path, env={"API_KEY": CANARY})
    assert told.code == 1, told.text
    levels = {message.split("`")[1]: level for message, level in told.levels("backends").items()}
    assert levels == {
        "api": "ok",
        "noapi": "problem",
        "file": "ok",
        "nofile": "problem",
        "server": "ok",
        "noserver": "problem",
        "folder": "ok",
        "wide": "ok",
        "nofolder": "problem",
    }, told.text
    assert told.levels("around")["mount `folder`: other users of this machine cannot enter its folder"] == "ok"
    assert told.levels("clock") == {"this machine and mount `api` have the same time": "ok"}
    assert CANARY not in told.text
    refused = doctor(path, env={"API_KEY": "another"})
    assert any("answers 401" in message for message in bad(refused.levels("backends")))


def test_clocks_are_compared_allowing_for_the_time_that_asking_took() -> None:
    second = timedelta(seconds=1)
    for theirs, level in ((NOW, "ok"), (NOW + 12 * second, "ok"), (NOW + 20 * second, "warning")):
        assert clock_finding("it", NOW, theirs, NOW + 11 * second).level == level
    assert clock_finding("it", NOW, NOW - 3600 * second, NOW).level == "problem"


# Files


def test_an_installation_of_its_owner_is_well_and_each_open_file_is_named(policy: Path) -> None:
    config = load_config(policy, {})
    make_data_dir(config.data_dir)
    load_keys(config.data_dir)
    yaml, lock = policy.with_name("gateway.yaml"), policy.with_name("bailiwick.lock")
    steering, private = [policy, yaml, lock], [config.data_dir, config.data_dir / "signing.key"]
    private += [config.data_dir / "mask.key", config.state_file, config.data_dir / "ledger.db", config.admin_socket]
    private.append(config.data_dir / "ledger.db.journal")
    for path in (yaml, lock, config.state_file, config.data_dir / "ledger.db", config.admin_socket, private[-1]):
        path.touch()
        path.chmod(0o600)
    assert bad(findings_of(file_findings(policy, yaml, config))) == []
    for path, mode, level in [*((p, 0o640, "problem") for p in private), *((p, 0o646, "problem") for p in steering)]:
        before = path.stat().st_mode
        path.chmod(mode | 0o100 if path.is_dir() else mode)
        found = bad(findings_of(file_findings(policy, yaml, config)))
        path.chmod(before)
        assert len(found) == 1, path
        assert found[0].startswith(level), found
        assert f"`{path}`" in found[0]
    policy.chmod(0o664)
    assert bad(findings_of(file_findings(policy, yaml, config)))[0].startswith("warning: a group can change")


def test_missing_and_broken_keys_are_told_from_keys_that_the_first_start_makes(policy: Path) -> None:
    config = load_config(policy, {})
    assert [each.split(":")[0] for each in bad(findings_of(file_findings(policy, policy, config)))] == ["warning"]
    assert not config.data_dir.exists()
    make_data_dir(config.data_dir)
    assert {each.split(":")[0] for each in bad(findings_of(file_findings(policy, policy, config)))} == {"warning"}
    config.state_file.touch(0o600)
    assert [each.split(":")[0] for each in bad(findings_of(file_findings(policy, policy, config)))] == ["problem"] * 2
    load_keys(config.data_dir)
    (config.data_dir / "signing.key").write_text(CANARY)
    found = bad(findings_of(file_findings(policy, policy, config)))
    assert len(found) == 1
    assert "is not a key of this gateway" in found[0]
    assert CANARY not in found[0]


def test_secret_files_open_to_others_are_a_problem(policy: Path, closed: int) -> None:
    policy.write_text(POLICY.replace("${CRM_URL}", "file:crm.url"))
    secret = policy.with_name("crm.url")
    secret.write_text(f"postgresql://u:{CANARY}@127.0.0.1:{closed}/d")
    secret.chmod(0o600)
    assert bad(doctor(policy).levels("secrets")) == []
    secret.chmod(0o604)
    told = doctor(policy)
    assert bad(told.levels("secrets")) == [f"problem: `{secret}` is open to others (mode 0604)"]
    assert CANARY not in told.text


# TLS


def test_certificates_are_compared_with_time_names_and_key(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)  # for localhost, valid for two days
    key.chmod(0o600)
    listener = Listener("mcp", "0.0.0.0", ("localhost:6433",), cert, key)

    def found(listener: Listener, **later: int) -> list[str]:
        return bad(findings_of(listener_findings(listener, datetime.now(UTC) + timedelta(**later))))

    assert [each.split(" on ")[0] for each in found(listener)] == ["warning: the certificate of `mcp` expires"]
    assert found(listener, days=3)[0].startswith("problem: the certificate of `mcp` expired on ")
    assert "is not valid before" in found(listener, days=-3)[0]
    named = Listener("mcp", "0.0.0.0", ("gateway.example",), cert, key)
    assert found(named)[1] == "warning: the certificate of `mcp` is not for `gateway.example`"
    (tmp_path / "other").mkdir()
    _, other = certificate(tmp_path / "other")
    other.chmod(0o600)
    assert found(Listener("mcp", "0.0.0.0", (), cert, other))[1:] == [
        f"problem: `mcp.tls_key`: `{other}` is not the key of the certificate"
    ]
    key.chmod(0o644)
    assert found(listener)[1:] == [f"problem: `mcp.tls_key`: everybody can use `{key}` (mode 0644)"]
    assert "no readable PEM" in found(Listener("mcp", "0.0.0.0", (), tmp_path / "none", key))[0]


def test_a_listener_without_tls_is_well_on_loopback_only() -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        assert bad(findings_of(listener_findings(Listener("api", host, (), None, None), NOW))) == []
    open_ = Listener("postgres", "0.0.0.0", (), None, None)
    assert "are turned away" in bad(findings_of(listener_findings(open_, NOW)))[0]
    assert "can be read on the way" in bad(findings_of(listener_findings(open_, NOW, plaintext=True)))[0]


# Where the agent runs


def session_token() -> str:
    session = Session(
        id="ses_1",
        agent="bot",
        task="t",
        user=None,
        tenant=None,
        context={},
        opened_at=NOW,
        expires_at=NOW + timedelta(hours=1),
        idle=None,
    )
    return Tokens(Ed25519PrivateKey.generate(), "bailiwick").issue(session, "j", ["crm"])


def test_credentials_in_the_environment_are_named_and_a_sessions_token_is_none() -> None:
    token = session_token()
    clean = {
        "PGPASSWORD": token,
        "BAILIWICK_TOKEN": token,
        "AWS_REGION": "eu",
        "AWS_CA_BUNDLE": "/x",
        "PWD": "/",
        "KEYBOARD": "de",
    }
    assert bad(findings_of(environment_findings(clean))) == []
    names = ("DATABASE_URL", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "OPENAI_API_KEY", "DB_PASSWORD")
    for name in names:
        found = bad(findings_of(environment_findings({**clean, name: CANARY})))
        assert len(found) == 1, name
        assert f"`{name}`" in found[0]
        assert CANARY not in found[0]
    for value in (f"postgresql://u:{CANARY}@db/x", f"host=db password={CANARY}"):
        by_value = bad(findings_of(environment_findings({"CRM": value})))
        assert [each.split(":")[0] for each in by_value] == ["problem"]
        assert CANARY not in by_value[0]
    assert bad(findings_of(environment_findings({"CRM": "postgresql://u@db/x", "LONG": ":" * 100_000}))) == []


def test_only_tokens_of_this_kind_of_gateway_count_as_tokens_of_sessions() -> None:
    import base64

    head, claims, signature = session_token().split(".")
    foreign = base64.urlsafe_b64encode(b'{"aud": ["crm"], "sid": "1", "act": {}}').decode().rstrip("=")
    assert is_session_token(f"{head}.{claims}.{signature}")
    assert not any(map(is_session_token, (f"{head}.{foreign}.{signature}", f"{claims}.{head}.x", "a.b.c", "é.é.é", "")))


def test_files_of_credentials_in_the_home_are_named(tmp_path: Path) -> None:
    assert bad(findings_of(home_findings(tmp_path))) == []
    for name in (".pgpass", ".netrc", ".aws/credentials"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"h:1:d:u:{CANARY}\n")
        found = bad(findings_of(home_findings(tmp_path)))
        assert found == [f"problem: `~/{name}` holds credentials, and the agent can read it"]
        path.unlink()
    (tmp_path / ".pgpass").write_text(f"h:1:d:u:{session_token()}\n")
    assert bad(findings_of(home_findings(tmp_path))) == []


def test_as_agent_tells_ways_around_and_whether_the_gateway_is_there(closed: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
        url = f"postgresql://u:{CANARY}@127.0.0.1:{port}/d"
        told = doctor("--as-agent", "--backend", url, "--gateway", f"http://127.0.0.1:{closed}")
        assert told.code == 1
        assert told.levels("around") == {f"`127.0.0.1:{port}` is reached from here without the gateway": "problem"}
        assert list(told.levels("gateway").values()) == ["problem"]
        assert CANARY not in told.text
        env = {"SOME_SETTING": "x"}
        twin = doctor(
            "--as-agent", "--backend", f"127.0.0.1:{closed}", "--gateway", f"http://127.0.0.1:{port}/mcp", env=env
        )
        assert twin.code == 0, twin.text
        assert {each.level for each in twin.found} == {"ok"}
        canary = doctor("--as-agent", env={"DATABASE_URL": CANARY, "X_TOKEN": CANARY})
        assert canary.code == 1
        assert list(canary.levels("environment").values()) == ["problem", "warning"]
        assert list(canary.levels("around").values()) == ["warning"]
        assert CANARY not in canary.text


def test_as_agent_tells_of_folders_that_can_be_used_without_the_gateway(tmp_path: Path) -> None:
    told = doctor("--as-agent", "--backend", str(tmp_path), env={"SOME_SETTING": "x"})
    assert told.levels("around") == {f"`{tmp_path}` can be read and changed from here without the gateway": "problem"}
    twin = doctor("--as-agent", "--backend", str(tmp_path / "none"), env={"SOME_SETTING": "x"})
    assert twin.levels("around") == {f"`{tmp_path / 'none'}` is not reached from here": "ok"}


async def test_a_folder_is_its_owners_and_apart_from_what_the_gateway_keeps(tmp_path: Path) -> None:
    (tmp_path / "files" / "data").mkdir(parents=True)
    text = "bailiwick: 1\nmounts: {docs: {kind: files, root: files, resources: {all: {paths: ['**']}}}}\n"
    policy = load({"policy.yaml": text}).policy
    assert policy is not None

    async def levels(own: Path) -> dict[str, str]:
        found = await files_findings(policy.files["docs"], {}, tmp_path, own)
        return {each.check: each.level for each in found}

    assert await levels(tmp_path / "data") == {"backends": "ok", "around": "ok"}
    assert (await levels(tmp_path / "files" / "data"))["files"] == "problem"


def test_what_others_may_do_with_a_folder_depends_on_those_above_it() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # where others come through
        above = Path(name)
        (above / "files").mkdir()
        for outer, inner, may in ((0o755, 0o755, 5), (0o755, 0o757, 7), (0o700, 0o777, 0), (0o755, 0o750, 0)):
            above.chmod(outer)
            (above / "files").chmod(inner)
            assert others(above / "files") & 7 == may


def test_addresses_are_read_without_what_else_stands_in_them(policy: Path) -> None:
    assert parse_target("db.example:5432") == Target("db.example", 5432)
    assert parse_target(f"postgres://u:{CANARY}@db.example/x") == Target("db.example", 5432)
    assert str(parse_target("https://[::1]/x")) == "[::1]:443"
    for wrong in ("db.example", "", "db:99999", "ftp://db"):
        with pytest.raises(ConfigError):
            parse_target(wrong)
    usage = doctor("--as-agent", "--backend", f"u:{CANARY}@db")
    assert usage.code == 2
    assert CANARY not in usage.text
    assert doctor(policy, "--as-agent").code == 2
    assert doctor(policy, "--gateway", "localhost:1").code == 2


def test_a_policy_or_settings_that_cannot_be_read_are_findings(policy: Path) -> None:
    policy.with_name("gateway.yaml").write_text("prot: 1\n")
    told = doctor(policy.with_name("none.yaml"))
    assert told.code == 1
    assert sorted(each.check for each in told.found) == ["policy", "settings"]
