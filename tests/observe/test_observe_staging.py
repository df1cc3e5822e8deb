"""Observe mode is for staging: what gateway.yaml itself says decides, never a variable alone."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from bailiwick.gateway.config import load_config
from bailiwick.gateway.policies.ready import PolicyRefusedError, make_ready
from bailiwick.model.lock import LockedTable
from bailiwick.model.policy import Mount
from bailiwick.sql.catalogue import Catalogue
from tests.support.forked import said

POLICY = """
bailiwick: 1
mounts:
  app:
    kind: python
    functions: {search: {action: articles:read, parameters: [text]}}
agents: {bot: {owner: desk, purpose: helps, roles: [], observe: true}}
"""


def check(path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `bailiwick policy check`."""
    return said(path.parent, {**os.environ, **environ}, "policy", "check", str(path))


async def no_catalogue(url: str, mount: Mount, tables: object) -> Catalogue:
    raise AssertionError((url, mount, tables, LockedTable))


def written(folder: Path, settings: str | None) -> Path:
    (folder / "policy.yaml").write_text(POLICY)
    if settings is not None:
        (folder / "gateway.yaml").write_text(settings)
    return folder / "policy.yaml"


@pytest.mark.parametrize(
    ("settings", "variable", "observes"),
    [
        ("environment: staging", None, True),
        ("environment: staging", "staging", True),
        ("environment: staging", "production", False),
        ("environment: production", "staging", False),
        ("environment: production", None, False),
        ("issuer: here", "staging", False),
        (None, "staging", False),
        (None, None, False),
    ],
)
def test_the_file_itself_must_say_staging(
    tmp_path: Path, settings: str | None, variable: str | None, observes: bool
) -> None:
    environ = {} if variable is None else {"BAILIWICK_ENVIRONMENT": variable}
    config = load_config(written(tmp_path, settings), environ)
    assert config.observing is observes


def test_a_gateway_that_is_not_in_staging_refuses_the_policy(tmp_path: Path) -> None:
    path = written(tmp_path, None)
    with pytest.raises(PolicyRefusedError) as refused:
        asyncio.run(make_ready(path, {}, no_catalogue))
    assert "`observe` of agent `bot` is for staging only" in refused.value.message
    assert asyncio.run(make_ready(path, {}, no_catalogue, observing=True)).force.policy.agents["bot"].observe


def test_policy_check_says_so_beforehand(tmp_path: Path) -> None:
    refused = check(written(tmp_path, None), BAILIWICK_ENVIRONMENT="staging")
    assert refused.returncode == 1
    assert "policy.yaml:7:56: error: `observe` of agent `bot` is for staging only" in refused.stdout
    assert check(written(tmp_path, "environment: staging")).returncode == 0
