"""LangChain tools behind a guard. Needs `langchain-core`, which is not installed with Bailiwick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from bailiwick.errors import ConfigError
from bailiwick.guard.denied import DeniedError, FunctionError
from bailiwick.guard.guard import Guard
from bailiwick.guard.session import Session

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json


def guarded_tools(guard: Guard, session: Session, tools: Sequence[BaseTool]) -> list[BaseTool]:
    """Return those of the tools that the session may call, guarded in its name; their schemas are narrowed to it.

    The policy knows each by its name. A denial becomes a tool's error, which the model reads. Raises DeniedError when
    the session has ended, ConfigError for a tool with injected arguments."""
    schemas = {tool.name: _schema(tool) for tool in tools}
    allowed = {each.name: each.schema for each in session.functions(schemas)}
    return [
        _guarded(guard, session, tool, schemas[tool.name], allowed[tool.name]) for tool in tools if tool.name in allowed
    ]


def _guarded(
    guard: Guard, session: Session, tool: BaseTool, schema: Mapping[str, Json], narrowed: Mapping[str, Json]
) -> BaseTool:
    takes = [*cast("Mapping[str, Json]", schema.get("properties", {}))]

    def run(**given: object) -> object:
        try:
            with guard.call(tool.name, given, takes=takes, session=session) as call:
                call.give(tool.run(dict(call.arguments)))
        except (DeniedError, FunctionError) as error:
            raise ToolException(str(error)) from None
        return call.shown

    async def run_later(**given: object) -> object:
        try:
            async with guard.call(tool.name, given, takes=takes, session=session) as call:
                call.give(await call.within_time(tool.arun(dict(call.arguments))))
        except (DeniedError, FunctionError) as error:
            raise ToolException(str(error)) from None
        return call.shown

    return StructuredTool(
        name=tool.name,
        description=tool.description,
        args_schema=dict(narrowed),
        func=run,
        coroutine=run_later,
        return_direct=tool.return_direct,
        handle_tool_error=True,
    )


def _schema(tool: BaseTool) -> Mapping[str, Json]:
    """Return the schema of what a model gives to a tool."""
    function = cast("Mapping[str, Mapping[str, Json]]", convert_to_openai_tool(tool))["function"]
    found = function.get("parameters")
    schema = found if isinstance(found, dict) else {}
    given = cast("Mapping[str, Json]", schema.get("properties", {}))
    whole = tool.args_schema
    injected = set(whole.model_fields) - set(given) if isinstance(whole, type) and issubclass(whole, BaseModel) else ()
    if injected:
        message = f"tool `{tool.name}` has `{min(injected)}` injected, which a guard cannot hand on"
        raise ConfigError(message, remedy="guard the function behind it with `guard.function(unguarded=…)`")
    return {**schema, "type": "object"}
