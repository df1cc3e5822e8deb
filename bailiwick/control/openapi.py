"""The description of `/api/v1` in OpenAPI, made of the table of its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bailiwick
from bailiwick.control.operations import ROOT, Operation, operations
from bailiwick.control.parameters import longest_query, schemas
from bailiwick.control.web import Json


def description(url: str) -> Mapping[str, Json]:
    """Return the OpenAPI description."""
    paths: dict[str, dict[str, Json]] = {}
    for each in operations:
        path = ROOT + each.path.replace("*", "{" + each.of + "}")
        paths.setdefault(path, {})[each.method.lower()] = _described(each)
    scheme: Json = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bailiwick", "version": bailiwick.__version__},
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": scheme}},
        "paths": paths,
    }


def _described(operation: Operation) -> Json:
    parameters: list[Json] = []
    if operation.of:
        text: Json = {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_.-]+$"}
        parameters.append({"name": operation.of, "in": "path", "required": True, "schema": text})
    errors: Sequence[tuple[str, str]] = (
        ("400", "what was asked for is wrong, or refused"),
        ("401", "no token that counts"),
        ("403", f"without the role {operation.role}"),
        ("404", "there is no such thing"),
        ("405", "another method"),
        ("409", "as things stand it cannot be done"),
        ("413", "the body is too long"),
        ("415", "the body is not JSON"),
        ("502", "somebody else does not answer"),
        ("503", "not at the moment"),
    )
    media: dict[str, Json] = {each: {"schema": {}} for each in operation.media}
    told: dict[str, Json] = {"200": {"description": "done", "content": media}}
    for status, says in errors:
        told[status] = {"description": says, "content": {"application/problem+json": {"schema": {}}}}
    found: dict[str, Json] = {"summary": operation.says, "operationId": _name(operation), "responses": told}
    if operation.method == "GET":
        for field in operation.fields:
            schema = {**schemas[field.kind], **({"maxLength": longest_query} if field.kind == "text" else {})}
            told_of: Json = {"name": field.name, "in": "query", "description": field.says, "schema": schema}
            parameters.append({**told_of, "required": True} if field.needed else told_of)
    elif operation.fields:
        needed = any(field.needed for field in operation.fields)
        found["requestBody"] = {"required": needed, "content": {"application/json": {"schema": _object(operation)}}}
    return {**found, "parameters": parameters} if parameters else found


def _object(operation: Operation) -> Json:
    properties: dict[str, Json] = {
        field.name: {**schemas[field.kind], "description": field.says} for field in operation.fields
    }
    needed: list[Json] = [field.name for field in operation.fields if field.needed]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _name(operation: Operation) -> str:
    parts = [part for part in operation.path.split("/") if part and part != "*"]
    one = "One" if operation.path.endswith("*") else ""
    return operation.method.lower() + "".join(part.capitalize() for part in parts) + one
