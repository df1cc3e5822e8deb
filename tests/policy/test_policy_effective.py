"""What has no effect yet is found where it stands; what has, is not."""

from __future__ import annotations

from pathlib import Path

from bailiwick.policy.effective import unsupported
from bailiwick.policy.load import load

HERE = Path(__file__).parent


def told(name: str) -> list[tuple[int, str]]:
    policy = load({name: (HERE / name).read_text()}).policy
    assert policy is not None
    return [(problem.position.line, problem.message) for problem in unsupported(policy)]


def test_every_key_without_effect_is_refused_at_its_place() -> None:
    lines = (HERE / "every_key.yaml").read_text().splitlines()
    found = told("every_key.yaml")
    for line, message in found:
        named = message.split("`")[1].split(":")[0]
        assert named in lines[line - 1] or named == "more", message
    starts = [message.split(" of ")[0].removesuffix(" is not enforced yet") for _, message in found]
    grants = ["`cost`"]  # of a table, which has no price
    rules = ["flow `out`", "flow `never`", "flow `aims`"]
    assert sorted(starts) == sorted([*grants, *rules])


def test_what_is_enforced_is_not_refused() -> None:
    policy = load(
        {
            "p": (HERE / "spine.yaml")
            .read_text()
            .replace("limits: {actions: 30/min, batch: 1}", "limits: {actions: 30/min, batch: 1, timeout: 5s}")
        }
    ).policy
    assert policy is not None
    assert unsupported(policy) == ()
