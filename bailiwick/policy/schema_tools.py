"""The part of the policy's JSON Schema that is about mounts of kinds `mcp`, `python` and `http`."""

from __future__ import annotations

from bailiwick.model.route import PartType, json_types, part_types, plain_types, several_types
from bailiwick.model.tool import effects
from bailiwick.policy.files import credential_keys as credential_parts
from bailiwick.policy.http import credential_keys
from bailiwick.policy.mcp import document_keys, prompt_keys

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}

_RELAYED = {
    "logging": "agents see the server's log messages",
    "sampling": "the server may have the agent's model write",
    "elicitation": "the server may ask the person at the agent's client",
    "roots": "the server is told the folders of the agent's client",
}


def mcp_mount() -> dict[str, object]:
    """Return the schema of one such mount."""
    properties: dict[str, object] = {
        "kind": {"const": "mcp", "description": "An MCP server."},
        "command": {**_TEXTS, "description": "The program that is the server, and its arguments."},
        "url": {**_TEXT, "description": "Where the server is reached by HTTP: `https://…`, `${ENV}`, `file:PATH`."},
        "env": _secrets("Environment of the command; values may hold `${ENV}`, or be `file:PATH`."),
        "headers": _secrets("Headers of each request to the URL; values may hold `${ENV}`, or be `file:PATH`."),
        "tools": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool"},
            "description": "The server's tools, as actions. What is not mapped does not exist for agents.",
        },
        "prompts": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/prompt"},
            "description": "The server's prompts, as actions.",
        },
        "documents": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/document"},
            "description": "URI, or template of URIs (`notes://{id}`), of what MCP calls resources, as actions.",
        },
        "resources": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool_resource"},
            "description": "Labels of what the tools act on.",
        },
        "prefix": {**_TEXT, "description": "Put before the names of its tools."},
        "limits": {"$ref": "#/$defs/call_limits", "description": "Ceilings on every call, and what all may use."},
        "relay": {
            "type": "object",
            "additionalProperties": False,
            "properties": {kind: {**_TEXT, "description": f"Why {words}."} for kind, words in _RELAYED.items()},
            "description": "What passes between the server and the agent's client beside calls; nothing by default.",
        },
    }
    return _object(properties, ["kind"])


def python_mount() -> dict[str, object]:
    """Return the schema of one mount of kind `python`."""
    properties: dict[str, object] = {
        "kind": {"const": "python", "description": "Functions of an application, which guards them."},
        "functions": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/function"},
            "description": "The functions, as actions. What is not mapped does not exist for agents.",
        },
        "resources": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool_resource"},
            "description": "Labels of what the functions act on.",
        },
        "limits": {"$ref": "#/$defs/call_limits", "description": "Ceilings on every call, and what all may use."},
    }
    return _object(properties, ["kind", "functions"])


def http_mount() -> dict[str, object]:
    """Return the schema of one mount of kind `http`."""
    kinds: dict[str, object] = {
        kind: _object(dict.fromkeys(keys, _TEXT), []) if keys else _secrets(f"Name of the {kind} to its value.")
        for kind, keys in credential_keys.items()
    }
    properties: dict[str, object] = {
        "kind": {"const": "http", "description": "An HTTP API."},
        "url": {
            **_TEXT,
            "description": "Where it is, with the path under which its routes are; `${ENV}`, `file:PATH`.",
        },
        "credential": {
            **_object(kinds, []),
            "minProperties": 1,
            "maxProperties": 1,
            "description": "How the gateway shows the API who it is; values may hold `${ENV}`, or be `file:PATH`.",
        },
        "networks": {**_TEXTS, "description": "Private networks or addresses in which its host may be."},
        "authority": {**_TEXT, "description": "File with the certificates that verify the API's."},
        "routes": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/route"},
            "description": "Method and path, e.g. `GET /invoices/{id}`, as actions. What is not mapped does not exist.",
        },
        "graphql": _graphql(),
        "resources": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool_resource"},
            "description": "Labels of what the routes act on.",
        },
        "limits": {"$ref": "#/$defs/call_limits", "description": "Ceilings on every request, and what all may use."},
    }
    return _object(properties, ["kind", "url"])


def files_mount() -> dict[str, object]:
    """Return the schema of one mount of kind `files`."""
    patterns: dict[str, object] = {**_TEXTS, "description": "Patterns of the paths of its files, as in `kb/**`."}
    labels: dict[str, object] = {
        "type": "object",
        "additionalProperties": _TEXTS,
        "description": "Pattern of paths, as in `hr/**`, to labels.",
    }
    quota: dict[str, object] = {
        "bytes": {"type": ["string", "integer"], "description": "As in `500 MB`."},
        "files": {"type": "integer", "minimum": 1},
    }
    keeping: dict[str, object] = {
        "keep": {"type": "integer", "minimum": 1, "description": "Versions of each file. Default 20."},
        "for": {**_TEXT, "description": "How long, as in `90d`, which is the default."},
    }
    properties: dict[str, object] = {
        "kind": {"const": "files", "description": "A folder, or a prefix of a bucket."},
        "root": {**_TEXT, "description": "The folder, looked for beside the policy; `${ENV}` is read."},
        "url": {**_TEXT, "description": "`s3://bucket/prefix`, in place of `root`."},
        "credential": {
            **_object(dict.fromkeys(credential_parts, _TEXT), []),
            "description": "What the gateway shows the store; values may hold `${ENV}`, or be `file:PATH`.",
        },
        "resources": {
            "type": "object",
            "additionalProperties": _object({"paths": patterns}, ["paths"]),
            "description": "Files by their paths. What is in no pattern does not exist for agents.",
        },
        "labels": labels,
        "quota": {**_object(quota, []), "description": "What may lie in the mount, at most."},
        "versions": {**_object(keeping, []), "description": "How long what was overwritten or deleted is kept."},
        "hard_links": {"type": "boolean", "description": "Serve files with several names. Default false."},
        "cross_mounts": {"type": "boolean", "description": "Serve other file systems mounted within. Default false."},
        "limits": {"$ref": "#/$defs/call_limits", "description": "Ceilings on every call, and what all may use."},
    }
    return _object(properties, ["kind", "resources"])


def _graphql() -> dict[str, object]:
    properties: dict[str, object] = {
        "path": {**_TEXT, "description": "Below `url`, where its GraphQL operations are posted. Default `/graphql`."},
        "schema": {
            **_TEXT,
            "description": "File with its types (SDL, or the answer to an introspection); without it the API is asked.",
        },
        "fields": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool"},
            "propertyNames": {"pattern": r"^(Query|Mutation)\."},
            "description": "What operations may begin with, e.g. `Query.customer`, as actions.",
        },
    }
    return {**_object(properties, ["fields"]), "description": "The part of the API that speaks GraphQL."}


def _route(tool: dict[str, object]) -> dict[str, object]:
    body: dict[str, object] = {
        "anyOf": [
            {"enum": list(json_types)},
            {"type": "array", "items": _TEXT, "minItems": 1},
            {"type": "object", "additionalProperties": {"enum": list(json_types)}},
        ],
        "description": "What its JSON body holds: path of keys to type; or the type of the whole.",
    }
    return {
        **tool,
        "path": _typed("Variable of its path to type; those not named are text.", plain_types),
        "query": _typed(
            "Parameter of its query to type; `strings` and their like may stand several times.", several_types
        ),
        "headers": _typed("Header to type.", plain_types),
        "body": body,
        "form": _typed("Field of its form to type.", several_types),
        "multipart": _typed("Part of its body to type; `file` is a file.", part_types),
    }


def _typed(description: str, types: tuple[PartType, ...]) -> dict[str, object]:
    named = {"type": "object", "additionalProperties": {"enum": list(types)}}
    return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}, named], "description": description}


def tool_schemas() -> dict[str, object]:
    """Return the definitions that it refers to."""
    scalar = {"type": ["string", "number", "boolean"]}
    tool: dict[str, object] = {
        "action": {"$ref": "#/$defs/action", "description": "What calling it is, e.g. `billing:refund`."},
        "description": {**_TEXT, "description": "What agents read in place of the server's words."},
        "fixed": {
            "type": "object",
            "additionalProperties": scalar,
            "description": "Arguments that the gateway fills in, and agents neither see nor give.",
        },
        "items": {**_TEXT, "description": "Path to the list of items in its result; without it the result itself."},
        "effects": {
            "anyOf": [{"enum": list(effects)}, {"type": "array", "items": {"enum": list(effects)}}],
            "description": "What it does; each has a built-in gate.",
        },
        "target": {**_TEXTS, "description": "Arguments that say whom or what it concerns."},
        "cost": {"anyOf": [_TEXT, {"$ref": "#/$defs/price"}], "description": "What one call costs, e.g. `0.01 USD`."},
    }
    label = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
    labels: dict[str, object] = {
        "labels": {
            "type": "object",
            "additionalProperties": label,
            "description": "Path in a result (or `*` for the rest) to its labels.",
        }
    }
    parameters = {**_TEXTS, "description": "The arguments that it takes. Without it: none."}
    prompt, document = ({key: tool[key] for key in keys} for keys in (prompt_keys, document_keys))
    return {
        "tool": _object(tool, ["action"]),
        "prompt": _object(prompt, ["action"]),
        "document": _object(document, ["action"]),
        "function": _object({**tool, "parameters": parameters}, ["action"]),
        "route": _object(_route(tool), ["action"]),
        "tool_resource": _object(labels, []),
        "price": _object(
            {
                "call": {**_TEXT, "description": "What each call costs, e.g. `0.01 USD`."},
                "row": {**_TEXT, "description": "What each row or item of its result costs."},
                "path": {**_TEXT, "description": "Where the JSON of its answer tells what it cost."},
                "header": {**_TEXT, "description": "Of a route: the header that tells what it cost."},
                "most": {**_TEXT, "description": "What it costs at most, where its answer tells."},
            },
            [],
        ),
    }


def _secrets(description: str) -> dict[str, object]:
    return {"type": "object", "additionalProperties": _TEXT, "description": description}


def _object(properties: dict[str, object], required: list[str]) -> dict[str, object]:
    found: dict[str, object] = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**found, "required": required} if required else found
