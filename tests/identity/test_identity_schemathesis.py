"""What the API's description says is what the API does: schemathesis, with all of its checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from identity_world import World
from schemathesis.schemas import BaseSchema
from test_identity_api import base, token_of

pytestmark = pytest.mark.xdist_group("identity-described")


@pytest.fixture(scope="module")
def described(world: World) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{base(world)}/api/v1/openapi.json")


@pytest.fixture(scope="module")
def caller(world: World) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token_of(world, 'admin')}"}


class Checked(Protocol):
    """One request, as schemathesis makes it; its own class carries no whole types."""

    def call_and_validate(self, *, headers: Mapping[str, str], timeout: float) -> object:
        """Send it, and look at the answer by all checks."""
        ...


whole = schemathesis.pytest.from_fixture("described")
# Left out is what waits until something changes, as it is meant to.
schema = whole.exclude(path="/api/v1/approvals/watch")  # pyright: ignore[reportUnknownMemberType]  # no whole types


@schema.parametrize()  # pyright: ignore[reportUnknownMemberType, reportUntypedFunctionDecorator]  # likewise
@settings(
    max_examples=1,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_an_operation_is_as_it_is_described(case: object, caller: Mapping[str, str]) -> None:
    cast("Checked", case).call_and_validate(headers=dict(caller), timeout=120)
