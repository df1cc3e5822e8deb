"""`bailiwick policy`: what is printed, with which exit code, and how fast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.forked import said
from tests.support.postgres import Database

SPINE = (Path(__file__).parent.parent / "policy" / "spine.yaml").read_text()
PLAIN = "\n".join(line for line in SPINE.splitlines() if "when:" not in line) + "\n"


def run(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return said(cwd or Path.cwd(), {**os.environ, **env}, "policy", *arguments)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(PLAIN)
    return path


def test_a_good_policy_is_one_line_and_exit_0(policy: Path) -> None:
    result = run("check", str(policy))
    assert result.returncode == 0
    assert result.stdout.startswith("ok: 1 mount, 2 resources, 2 roles, 4 grants, 1 agent, 1 task; version ")
    assert result.stdout.count("\n") == 1


def test_problems_are_listed_with_their_place_and_exit_1(policy: Path) -> None:
    policy.write_text(PLAIN.replace("email: partial", "email: partal").replace("roles: [support]", "roles: [suport]"))
    result = run("check", policy.name, cwd=policy.parent)
    assert result.returncode == 1
    places = [line.split(": error: ")[0] for line in result.stdout.splitlines()]
    assert places == ["policy.yaml:38:23", "policy.yaml:45:13"]
    assert result.stdout.splitlines()[1].endswith("unknown role `suport` (did you mean `support`?)")


def test_a_folder_is_read_without_the_gateway_s_settings(policy: Path) -> None:
    (policy.parent / "gateway.yaml").write_text("listen: nonsense\n")
    assert run("check", str(policy.parent)).returncode == 0


def test_json_has_a_list_of_problems(policy: Path) -> None:
    assert json.loads(run("check", str(policy), "--json").stdout) == []
    policy.write_text(PLAIN.replace("bailiwick: 1", "bailiwick: 9"))
    (problem,) = json.loads(run("check", str(policy), "--json").stdout)
    assert (problem["line"], problem["code"]) == (1, "bad_version")


def test_a_policy_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none.yaml"))
    assert result.returncode == 1
    assert "does not exist" in result.stderr
    assert "no policy in the folder" in run("check", str(tmp_path)).stderr


def test_a_lock_beside_the_policy_is_checked_too(policy: Path) -> None:
    (policy.parent / "bailiwick.lock").write_text("bailiwick-lock: 1\nmounts: {}\n")
    result = run("check", str(policy))
    assert result.returncode == 1
    assert "table `public.customers` of resource `customers` does not exist" in result.stdout


def test_connect_compares_with_the_live_database(policy: Path, new_database: Callable[[str], Database]) -> None:
    script = """
    CREATE TABLE customers (customer_id int PRIMARY KEY, tenant_id int, name text, email text, region text, ssn text,
      payment_method text, score numeric);
    CREATE TABLE tickets (ticket_id int PRIMARY KEY, tenant_id int, customer_id int, tier %s, subject text, body text,
      created_at timestamptz, status text, assignee_id int, team_id int);
    """
    good = run("check", str(policy), "--connect", CRM_URL=new_database(script % "int").url())
    assert (good.returncode, good.stderr) == (0, "")
    bad = run("check", str(policy), "--connect", CRM_URL=new_database(script % "date").url())
    assert bad.returncode == 1
    assert "`1` is a number, and `tier` is date" in bad.stdout


def test_schema_is_json_schema() -> None:
    assert json.loads(run("schema").stdout)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_lint_lists_findings_with_their_remedy(policy: Path) -> None:
    assert run("lint", str(policy)).stdout == "ok: no common mistake found\n"
    policy.write_text(PLAIN.replace("tickets:update:status", "'*:*'"))
    result = run("lint", str(policy))
    assert result.returncode == 1
    assert "BW102 `*:*` in role `support` allows everything" in result.stdout
    assert json.loads(run("lint", str(policy), "--json").stdout)[0]["remedy"]


def test_diff_tells_widening_by_its_exit_code(policy: Path) -> None:
    wider = policy.parent / "wider.yaml"
    wider.write_text(
        PLAIN.replace("fields: [customer_id, name, email, region]", "fields: [customer_id, name, email, region, tel]")
    )
    assert run("diff", str(policy), str(policy)).returncode == 0
    assert run("diff", str(policy), str(wider)).returncode == 1
    assert run("diff", str(wider), str(policy)).returncode == 0
    assert run("diff", str(policy)).returncode == 2


def test_check_of_a_small_policy_imports_nothing_heavy(policy: Path) -> None:
    heavy = "{'pydantic', 'prompt_toolkit', 'postgast', 'rich', 'asyncpg', 'sqlalchemy', 'cryptography', 'zoneinfo'}"
    code = (
        "import sys; from bailiwick.cli.main import run\n"
        f"sys.argv = ['bailiwick', 'policy', 'check', {str(policy)!r}]\n"
        "try: run()\n"
        f"finally: print(sorted({heavy} & set(sys.modules)))\n"
    )
    policy.write_text("".join(line for line in SPINE.splitlines(keepends=True) if "hours:" not in line))
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_a_thousand_grants_are_checked(policy: Path) -> None:
    grants = "".join(
        f"      - {{allow: tickets:read, reason: number {n}, rows: {{tier: {n}, created_at: {{within: 90d}}}},"
        f" fields: [ticket_id, subject], mask: {{subject: partial}}}}\n"
        for n in range(1000)
    )
    policy.write_text(PLAIN.replace("  support:\n", "  many:\n    grants:\n" + grants + "  support:\n", 1))
    assert "1004 grants" in run("check", str(policy)).stdout
