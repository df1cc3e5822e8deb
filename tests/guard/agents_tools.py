"""Functions as tools of the OpenAI Agents SDK, whose import takes seconds: only for the test that needs them."""

from __future__ import annotations

from typing import Any

from agents import FunctionTool, function_tool
from agents.tool_context import ToolContext

paid: list[tuple[int, float]] = []


@function_tool(name_override="refund")
def agents_refund(customer_id: int, amount: float, note: str = "") -> str:
    """Pay something back."""
    paid.append((customer_id, amount))
    return f"paid {amount}{note}"


@function_tool(name_override="look_up")
async def agents_look_up(customer_id: int, region: str = "eu") -> dict[str, object]:
    """Look the customer up."""
    return {"id": customer_id, "email": "ada@mail.example", "ssn": "CANARY_SSN_3", "in": region}


@function_tool(name_override="orders")
def agents_orders(kind: str) -> str:
    """List orders."""
    raise ValueError(f"CANARY_ERROR_3 {kind}")


@function_tool(name_override="drop_tables")
def agents_drop() -> str:
    """Do harm."""
    return "CANARY_DROP_2"


TOOLS: list[FunctionTool] = [agents_refund, agents_look_up, agents_orders, agents_drop]


async def invoked(guarded: FunctionTool, text: str) -> object:
    context = ToolContext[Any](context=None, tool_name=guarded.name, tool_call_id="1", tool_arguments=text)
    return await guarded.on_invoke_tool(context, text)
