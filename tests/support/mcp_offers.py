"""What the small MCP server of the tests offers beside its tools: documents and prompts."""

from __future__ import annotations

import json
from typing import cast

Json = object
PNG = "iVBORw0KGgo="
DOCUMENTS: dict[str, str] = {
    "notes://handbook": "how we work",
    "notes://secret": "CANARY20",
    "notes://unmapped": "CANARY21",
    "notes://orders": json.dumps([{"id": 1, "customer_id": 501, "ssn": "CANARY22"}, {"id": 2, "customer_id": 502}]),
}
_RESOURCES = [
    {"uri": uri, "name": uri.partition("//")[2], "description": f"tells of {uri}", "mimeType": "text/plain"}
    for uri in DOCUMENTS
]
_TEMPLATES = [{"uriTemplate": "customers://{id}/file", "name": "file", "description": "a customer's file"}]
_PROMPTS: list[Json] = [
    {
        "name": "greet",
        "description": "greets somebody",
        "arguments": [
            {"name": "customer", "description": "whom", "required": True},
            {"name": "tone", "description": "how"},
            {"name": "tenant", "required": True},
        ],
    },
    {"name": "unmapped_prompt", "description": "CANARY23"},
]
_LINKS: list[Json] = [
    {"type": "text", "text": "see"},
    {"type": "image", "data": PNG, "mimeType": "image/png", "annotations": {"audience": ["user"]}},
    {"type": "audio", "data": PNG, "mimeType": "audio/wav", "_meta": {"x": "CANARY24"}},
    {"type": "resource", "resource": {"uri": "notes://inside", "text": "embedded", "mimeType": "text/plain"}},
    {"type": "resource_link", "uri": "notes://handbook", "name": "handbook"},
    {"type": "resource_link", "uri": "notes://secret", "name": "CANARY25"},
    {"type": "resource_link", "uri": "https://evil.example/CANARY26", "name": "x"},
    {"type": "widget", "text": "CANARY27"},
]


def _read(uri: str) -> dict[str, Json] | None:
    if uri in DOCUMENTS:
        return {
            "contents": [{"uri": uri, "mimeType": "text/plain", "text": DOCUMENTS[uri], "_meta": {"x": "CANARY28"}}]
        }
    if uri.startswith("customers://"):
        mine: list[Json] = [
            {"uri": uri, "mimeType": "image/png", "blob": PNG},
            {"uri": "notes://handbook", "text": "besides"},
            {"uri": "notes://secret", "text": "CANARY29"},
        ]
        return {"contents": mine}
    return None


def offered(method: str, params: dict[str, Json]) -> dict[str, Json] | None:
    """Return the result of a method that is about documents or prompts; None when it is none, or has none."""
    match method:
        case "resources/list":
            return {"resources": _RESOURCES}
        case "resources/templates/list":
            return {"resourceTemplates": _TEMPLATES}
        case "resources/read":
            return _read(str(params["uri"]))
        case "prompts/list":
            return {"prompts": _PROMPTS}
        case "prompts/get":
            said = json.dumps(params["arguments"], sort_keys=True)
            messages: list[Json] = [{"role": "user", "content": {"type": "text", "text": said}}]
            messages += [{"role": "assistant", "content": each} for each in _LINKS]
            return {"description": "a greeting", "messages": messages, "_meta": {"x": "CANARY30"}}
        case "completion/complete":
            typed = str(cast("dict[str, Json]", params["argument"])["value"])
            values = ["kind", "formal", "501", "502", f"typed {typed}", "CANARY31"]
            return {"completion": {"values": values, "total": 99, "hasMore": True}}
        case _:
            return None


def links() -> dict[str, Json]:
    """Return a tool's result with every kind of content."""
    return {"content": _LINKS}
