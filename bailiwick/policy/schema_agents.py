"""The part of the policy's JSON Schema that is about agents and their tasks."""

from __future__ import annotations

from bailiwick.model.value import type_names
from bailiwick.policy.schema_words import Schema, mapping, one_of, ref, several, text


def agents() -> dict[str, object]:
    """Return the definitions of agents, tasks, and how either is observed."""
    narrowing = mapping(
        {
            "rows": ref("matchers", "Only these rows."),
            "fields": ref("fields", "Only these fields."),
            "verbs": several(text("A verb: of data, or one that a tool is mapped to."), "Only these verbs.", 1),
        }
    )
    return {"agent": _agent(), "task": _task(narrowing), "observe": _observe(narrowing)}


def _session() -> Schema:
    return mapping(
        {
            "ttl": ref("duration", "Longest life of a session."),
            "idle": ref("duration", "How long a session may do nothing."),
            "actions": {"type": "integer", "minimum": 1, "description": "Requests in one session."},
            "cost": text("Money in one session, e.g. `2 USD`."),
            "hours": text("When, e.g. `Mon-Fri 07:00-19:00 Europe/Berlin`."),
            "concurrent": {"type": "integer", "minimum": 1, "description": "Requests of one session at once."},
        },
        description="Bounds of every session.",
    )


def _task(narrowing: Schema) -> Schema:
    derived = mapping(
        {
            "type": one_of(type_names, "Type of the value."),
            "from": text("Resource in which the gateway looks the value up."),
            "by": text("The context value by which the row is found."),
            "column": text("The column to take; by default named like the value."),
            "claim": text("The person's verified claim that it is taken from."),
        },
        "type",
    )
    return mapping(
        {
            "agents": several({"type": "string"}, "Agents that may do it.", 1),
            "users": mapping(
                {
                    "ids": several({"type": "string"}, "People, by id."),
                    "groups": several({"type": "string"}, "People, by group."),
                },
                description="For whom it may be done.",
            ),
            "context": {
                "type": "object",
                "additionalProperties": {"anyOf": [one_of(type_names, "Type of the value."), derived]},
                "description": "Values that a session must bring, or that the gateway looks up.",
            },
            "only": {
                "type": "object",
                "additionalProperties": narrowing,
                "description": "The resources that are left, and what of them.",
            },
        },
        "agents",
    )


def _agent() -> Schema:
    return mapping(
        {
            "owner": text("The person or team that answers for it."),
            "purpose": text("What it is for."),
            "roles": several({"type": "string"}, "Its roles."),
            "session": _session(),
            "limits": ref("limits"),
            "quarantine": mapping(
                {
                    "denials": text("How many denials in which time, e.g. `20/min`."),
                    "suspend": one_of(("session", "agent"), "What is suspended then; by default the session."),
                },
                "denials",
                description="Suspends by itself what is denied again and again.",
            ),
            "observe": ref("observe", "It is observed on every mount."),
        },
        "owner",
        "purpose",
        "roles",
    )


def _observe(narrowing: Schema) -> Schema:
    boundary: Schema = {
        "type": "object",
        "additionalProperties": narrowing,
        "description": "What is reached at most: resource to what is left of it, `{}` for all.",
    }
    return {
        "anyOf": [{"type": "boolean"}, mapping({"boundary": boundary}, "boundary")],
        "description": "In staging only: everything that was accepted is let through, and what was used is recorded.",
    }
