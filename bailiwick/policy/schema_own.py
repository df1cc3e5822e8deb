"""The part of the policy's JSON Schema that is about mounts of what the gateway itself does."""

from __future__ import annotations

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}


def email_mount() -> dict[str, object]:
    """Return the schema of one mount of kind `email`."""
    properties: dict[str, object] = {
        "kind": {"const": "email", "description": "A mail server, to send through."},
        "smtp": {**_TEXT, "description": "Where it is: `${ENV}`, `file:PATH`, `smtp://…` (STARTTLS) or `smtps://…`."},
        "from": {**_TEXT, "description": "The address that every message comes from."},
        "name": {**_TEXT, "description": "The name beside that address."},
        "templates": {**_TEXT, "description": "Folder beside the policy: `NAME.yaml`, accepted by `bailiwick accept`."},
        "internal": {**_TEXTS, "description": "Domains of the organisation; who is elsewhere is external."},
        "authority": {**_TEXT, "description": "File with the certificates that verify the server's."},
        "resource": {**_TEXT, "description": "Name of the resource in actions. Default `email`: `email:send`."},
        "resources": {
            "type": "object",
            "additionalProperties": {"$ref": "#/$defs/tool_resource"},
            "description": "Labels of the resource.",
        },
        "prefix": {**_TEXT, "description": "Put before the name of its tool, `send`."},
        "description": {**_TEXT, "description": "What agents read of its tool."},
        "limits": {"$ref": "#/$defs/grant_limits", "description": "Ceilings on every message, and what all may use."},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": ["kind", "smtp", "from"],
    }
