"""Tools of LangChain and of the OpenAI Agents SDK behind a guard: the real libraries, without any model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from typing import Annotated, Any, cast

import pytest
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, tool

from bailiwick.errors import ConfigError
from bailiwick.guard import Session, langchain
from tests.guard.conftest import App

pytestmark = pytest.mark.xdist_group("guard")
paid: list[tuple[int, float]] = []


@pytest.fixture
def session(app: App) -> Generator[Session]:
    with app.work() as opened:
        paid.clear()
        yield opened


@tool("refund")
def chain_refund(customer_id: int, amount: float, note: str = "") -> str:
    """Pay something back."""
    paid.append((customer_id, amount))
    return f"paid {amount}{note}"


@tool("look_up")
def chain_look_up(customer_id: int, region: str = "eu") -> dict[str, object]:
    """Look the customer up."""
    return {"id": customer_id, "email": "ada@mail.example", "ssn": "CANARY_SSN_2", "in": region}


@tool("orders")
async def chain_orders(kind: str) -> str:
    """List orders."""
    await asyncio.sleep(0)
    if kind == "broken":
        raise ValueError("CANARY_ERROR_2")
    return json.dumps({"found": [{"customer_id": 7, "of": kind}, {"customer_id": 8, "of": "CANARY_ROW_2"}]})


@tool("drop_tables")
def chain_drop() -> str:
    """Do harm."""
    return "CANARY_DROP_1"


CHAIN: list[BaseTool] = [chain_refund, chain_look_up, chain_orders, chain_drop]


def chained(app: App, session: Session) -> dict[str, BaseTool]:
    return {each.name: each for each in langchain.guarded_tools(app.guard, session, CHAIN)}


def called(guarded: BaseTool, **arguments: object) -> ToolMessage:
    found = guarded.invoke({"name": guarded.name, "args": arguments, "id": "1", "type": "tool_call"})
    assert isinstance(found, ToolMessage)
    return found


def test_langchain_has_the_tools_of_the_session(app: App, session: Session) -> None:
    tools = chained(app, session)
    assert set(tools) == {"refund", "look_up", "orders"}
    schema = cast("dict[str, Any]", tools["refund"].args_schema)
    assert set(schema["properties"]) == {"amount", "note"}
    assert schema["properties"]["amount"]["maximum"] == 500
    assert schema["required"] == ["amount"]


def test_langchain_calls_are_decided(app: App, session: Session) -> None:
    tools = chained(app, session)
    assert called(tools["refund"], amount=5).content == "paid 5.0"
    denied = called(tools["refund"], amount=501)
    assert denied.status == "error"
    assert str(denied.content).startswith("denied (argument_not_granted): ")
    assert called(tools["refund"], amount=5, customer_id=8).status == "error"
    assert paid == [(7, 5.0)]


async def test_langchain_results_are_looked_at(app: App, session: Session) -> None:
    tools = chained(app, session)
    assert json.loads(str(called(tools["look_up"]).content)) == {"id": 7, "email": "a***@mail.example", "in": "eu"}
    assert json.loads(await tools["orders"].ainvoke({"kind": "x"})) == {"found": [{"customer_id": 7, "of": "x"}]}
    failed = str(await tools["orders"].ainvoke({"kind": "broken"}))
    assert failed == "`orders` failed; why it did is not shown in this session"


def test_langchain_tools_with_injected_arguments_are_refused(app: App, session: Session) -> None:
    @tool("refund")
    def injected(customer_id: int, amount: float, store: Annotated[object, InjectedToolArg]) -> str:
        """Pay something back."""
        return f"{customer_id}{amount}{store}"

    with pytest.raises(ConfigError, match="`store` injected"):
        langchain.guarded_tools(app.guard, session, [injected])


async def test_the_agents_sdk_is_guarded(app: App, session: Session) -> None:
    from bailiwick.guard import openai_agents
    from tests.guard.agents_tools import TOOLS, invoked, paid

    tools = {each.name: each for each in openai_agents.guarded_tools(app.guard, session, TOOLS)}
    assert set(tools) == {"refund", "look_up", "orders"}
    assert set(tools["refund"].params_json_schema["properties"]) == {"amount", "note"}
    paid.clear()
    assert await invoked(tools["refund"], '{"amount": 5, "note": "!"}') == "paid 5.0!"
    for text in (
        '{"amount": 501, "note": ""}',
        '{"amount": 5, "customer_id": 8}',
        '{"amount": NaN}',
        "[]",
        "{",
        "[" * 9999,
    ):
        assert str(await invoked(tools["refund"], text)).startswith("denied (argument_not_granted): ")
    assert paid == [(7, 5.0)]
    looked = await invoked(tools["look_up"], "{}")
    assert looked == {"id": 7, "email": "a***@mail.example", "in": "eu"}
    failed = str(await invoked(tools["orders"], '{"kind": "x"}'))
    assert "CANARY" not in failed
