"""The published rules of OCSF as a check: `complaints` says what of an event breaks them.

`ocsf_rules.json` holds the rules of version 1.8.0 (made by scripts/ocsf-rules from the published schema).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

Rules = Mapping[str, Any]


@cache
def rules() -> Rules:
    """Return the rules."""
    return cast(Rules, json.loads((Path(__file__).parent / "ocsf_rules.json").read_text()))


def complaints(event: Mapping[str, Any]) -> list[str]:
    """Return everything in an event that the schema does not allow."""
    rule = rules()["classes"].get(str(event.get("class_uid")))
    if rule is None:
        return [f"class_uid {event.get('class_uid')} is not among the rules"]
    found = list(_of_object(event, _with_profiles(rule, event), ""))
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        found.append("type_uid is not class_uid * 100 + activity_id")
    if event["class_uid"] // 1000 != event["category_uid"]:
        found.append("class_uid is not of category_uid")
    if event["metadata"]["version"] != rules()["version"]:
        found.append("metadata.version is another one than that of the rules")
    return found


def _with_profiles(rule: Rules, event: Mapping[str, Any]) -> Rules:
    attributes = dict(rule["attributes"])
    for name in event.get("metadata", {}).get("profiles", ()):
        attributes = {**rules()["profiles"][name], **attributes}
    return {**rule, "attributes": attributes}


def _of_object(value: Mapping[str, Any], rule: Rules, path: str) -> Iterator[str]:
    attributes = rule["attributes"]
    for name, given in attributes.items():
        if given.get("required") and name not in value:
            yield f"{path}{name} is missing"
    for name, members in rule["constraints"].items():
        count = sum(member in value for member in members)
        if count == 0 or (name == "just_one" and count != 1):
            yield f"{path or 'event '}: {name} of {members}"
    for name, member in value.items():
        if name not in attributes:
            yield f"{path}{name} is not an attribute"
        elif attributes[name].get("array"):
            if not isinstance(member, list):
                yield f"{path}{name} is not an array"
                continue
            for index, each in enumerate(cast("list[Any]", member)):
                yield from _of_value(each, attributes[name], f"{path}{name}[{index}]")
        else:
            yield from _of_value(member, attributes[name], f"{path}{name}")


def _of_value(value: Any, given: Rules, path: str) -> Iterator[str]:
    kind = given["type"]
    types = rules()["types"]
    if kind not in types:
        if not isinstance(value, dict):
            yield f"{path} is not an object"
        elif kind != "object":
            known = rules()["objects"].get(kind)
            yield from (
                [f"{path}: no rules of {kind}"] if known is None else _of_object(cast(Rules, value), known, f"{path}.")
            )
        return
    base = types[kind].get("type", kind)
    fits = {
        "string_t": isinstance(value, str),
        "integer_t": isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
        "long_t": isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
        "boolean_t": isinstance(value, bool),
        "float_t": isinstance(value, float),
        "json_t": True,
    }[base]
    if not fits:
        yield f"{path} is not a {kind}"
        return
    if "regex" in types[kind] and re.search(types[kind]["regex"], str(value)) is None:
        yield f"{path} is not a {kind}"
    if "range" in types[kind] and not types[kind]["range"][0] <= value <= types[kind]["range"][1]:
        yield f"{path} is out of range"
    if "enum" in given and str(value) not in given["enum"]:
        yield f"{path}: {value} is not one of {given['enum']}"
