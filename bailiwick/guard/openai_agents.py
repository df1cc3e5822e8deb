"""Tools of the OpenAI Agents SDK behind a guard. Needs `openai-agents`, which is not installed with Bailiwick."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from agents import FunctionTool
from agents.tool_context import ToolContext

from bailiwick.guard.denied import DeniedError, FunctionError
from bailiwick.guard.guard import Guard
from bailiwick.guard.session import Session

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

_NO_OBJECT = "denied (argument_not_granted): the arguments are no JSON object"


def guarded_tools(guard: Guard, session: Session, tools: Sequence[FunctionTool]) -> list[FunctionTool]:
    """Return those of the tools that the session may call, guarded in its name; their schemas are narrowed to it.

    The policy knows each by its name. The model reads a denial in place of a result. Raises DeniedError when the
    session has ended."""
    schemas = {tool.name: cast("Mapping[str, Json]", tool.params_json_schema) for tool in tools}
    allowed = {each.name: each.schema for each in session.functions(schemas)}
    return [_guarded(guard, session, tool, allowed[tool.name]) for tool in tools if tool.name in allowed]


def _guarded(guard: Guard, session: Session, tool: FunctionTool, narrowed: Mapping[str, Json]) -> FunctionTool:
    takes = [*cast("Mapping[str, Json]", tool.params_json_schema.get("properties", {}))]

    async def invoke(context: ToolContext[Any], text: str) -> Any:
        given = _arguments(text)
        if given is None:
            return _NO_OBJECT
        try:
            async with guard.call(tool.name, given, takes=takes, session=session) as call:
                call.give(await call.within_time(tool.on_invoke_tool(context, json.dumps(call.arguments))))
        except (DeniedError, FunctionError) as error:
            return str(error)
        return call.shown

    return FunctionTool(
        name=tool.name,
        description=tool.description,
        params_json_schema=dict(narrowed),
        on_invoke_tool=invoke,
        strict_json_schema=False,  # strict schemas require every argument, also what the gateway fills in
        is_enabled=tool.is_enabled,
        tool_input_guardrails=tool.tool_input_guardrails,
        tool_output_guardrails=tool.tool_output_guardrails,
        needs_approval=tool.needs_approval,
    )


def _arguments(text: str) -> Mapping[str, object] | None:
    try:
        found = cast("object", json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None
