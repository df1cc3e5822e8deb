"""What the JSON Schema of a policy is put together from."""

from __future__ import annotations

from collections.abc import Mapping

Schema = Mapping[str, object]
DURATION = "^[1-9][0-9]{0,5}[smhdwy]$"
NAME = "^[A-Za-z_][A-Za-z0-9_-]{0,62}$"


def ref(name: str, description: str = "") -> Schema:
    """Return a reference to a definition, said of this place if there is more to say."""
    return {"$ref": f"#/$defs/{name}", **({"description": description} if description else {})}


def mapping(properties: Mapping[str, object], *required: str, description: str = "") -> dict[str, object]:
    """Return the schema of a mapping with these keys and no others."""
    found: dict[str, object] = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    if required:
        found["required"] = list(required)
    return {**found, **({"description": description} if description else {})}


def named(name: str, description: str) -> Schema:
    """Return the schema of a section: names, each with one mapping. An empty section is allowed."""
    return {
        "type": ["object", "null"],
        "propertyNames": {"pattern": NAME},
        "additionalProperties": ref(name),
        "description": description,
    }


def text(description: str, **more: object) -> dict[str, object]:
    """Return the schema of a text that is not empty."""
    return {"type": "string", "minLength": 1, "description": description, **more}


def several(item: Schema, description: str, least: int = 0) -> Schema:
    """Return a list that may be written as a single item."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": least}], "description": description}


def one_of(options: tuple[str, ...], description: str) -> Schema:
    """Return the schema of a word out of several."""
    return {"enum": list(options), "description": description}
