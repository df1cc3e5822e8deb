"""The JSON Schema (2020-12) of a policy document, so that editors complete and explain it.

It says what can be said about one file without knowing the others; `load` is the authority.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from bailiwick.model.action import data_verbs
from bailiwick.model.files import redactions
from bailiwick.model.label import levels
from bailiwick.model.mask import mask_names
from bailiwick.model.value import type_names
from bailiwick.policy.rules import built_in_gates, most_approvals
from bailiwick.policy.schema_own import email_mount
from bailiwick.policy.schema_tools import files_mount, http_mount, mcp_mount, python_mount, tool_schemas
from bailiwick.policy.sql_mounts import file_engines, url_engines
from bailiwick.policy.values import call_limits, data_limits, grant_limits, limit_names, once_limits
from bailiwick.sql.extension_lists import REVIEWED

Schema = Mapping[str, object]
_DURATION = "^[1-9][0-9]{0,5}[smhdwy]$"
_NAME = "^[A-Za-z_][A-Za-z0-9_-]{0,62}$"


def policy_schema() -> dict[str, object]:
    """Return the schema of a policy file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:bailiwick:policy:1",
        "title": "Bailiwick policy",
        "description": "What AI agents may see and do. Everything that is not allowed here is denied.",
        **_object(
            {
                "bailiwick": {"const": 1, "description": "Version of the format."},
                "mounts": _named("mount", "The backends that Bailiwick stands in front of, by name."),
                "roles": _named("role", "Named sets of grants, by name."),
                "agents": _named("agent", "The registered agents, by name."),
                "tasks": _named("task", "Templates that narrow an agent to one kind of work, by name."),
                "gates": _gates(),
                "elevations": _named("elevation", "Extra roles for a bounded time, by name."),
                "approvers": _named(
                    "approvers", "Groups of people who decide, by name; others are the issuer's groups."
                ),
                "flows": _named("flow", "Rules about where labelled data may go, by name."),
                "review": _ref("review"),
                "retention": {
                    "description": "How long the ledger keeps what records say.",
                    "anyOf": [
                        _ref("duration"),
                        _object(
                            {
                                "default": _ref("duration", "Of records without one of the labels."),
                                "labels": {
                                    "type": "object",
                                    "additionalProperties": _ref("duration"),
                                    "description": "By label; of several the shortest holds.",
                                },
                            }
                        ),
                    ],
                },
            }
        ),
        "$defs": {**_values(), **_mounts(), **_roles(), **_agents(), **_rules()},
    }


def _ref(name: str, description: str = "") -> Schema:
    return {"$ref": f"#/$defs/{name}", **({"description": description} if description else {})}


def _object(properties: Mapping[str, object], *required: str, description: str = "") -> dict[str, object]:
    found: dict[str, object] = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    if required:
        found["required"] = list(required)
    return {**found, **({"description": description} if description else {})}


def _named(name: str, description: str) -> Schema:
    """Return the schema of a section: names, each with one thing. An empty section is allowed."""
    return {
        "type": ["object", "null"],
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": _ref(name),
        "description": description,
    }


def _text(description: str, **more: object) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _several(item: Schema, description: str, least: int = 0) -> Schema:
    """Return a list that may be written as a single item."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": least}], "description": description}


def _enum(options: tuple[str, ...], description: str) -> Schema:
    return {"enum": list(options), "description": description}


def _values() -> dict[str, object]:
    number_or_ref: Schema = {"type": ["number", "string"]}
    scalar: Schema = {"type": ["string", "number", "boolean"]}
    bounds = {
        "min": ("at least", number_or_ref),
        "max": ("at most", number_or_ref),
        "over": ("more than", number_or_ref),
        "under": ("less than", number_or_ref),
    }
    conditions: dict[str, object] = {key: {**item, "description": words} for key, (words, item) in bounds.items()}
    conditions |= {
        "within": _ref("duration", "A moment in the last so long, e.g. `90d`."),
        "prefix": _text("Text that starts with this."),
        "glob": _text("Text that matches a pattern of `*` (any run) and `?` (one character)."),
        "not": _ref("matcher", "Not this. Unknown stays unknown."),
        "empty": {"type": "boolean", "description": "true: NULL or empty; false: present and not empty."},
    }
    return {
        "duration": _text("A duration such as `30s`, `5m`, `4h`, `90d`, `2w`, `7y`.", pattern=_DURATION),
        "action": _text(
            "`resource:verb` or, for update and create, `resource:verb:field`. Verbs for data: "
            + ", ".join(data_verbs)
            + "; `*` for all.",
            pattern="^([A-Za-z_][A-Za-z0-9_-]*|\\*):([A-Za-z_][A-Za-z0-9_-]*|\\*)(:.+)?$",
        ),
        "fields": _several({"type": "string", "minLength": 1}, "Columns, or groups of columns.", 1),
        "matcher": {
            "description": "A value (equal), a list (one of), `$name` (a session value), `any`, or conditions.",
            "anyOf": [
                scalar,
                {"type": "array", "items": scalar},
                {**_object(conditions), "minProperties": 1},
            ],
        },
        "matchers": {"type": "object", "additionalProperties": _ref("matcher")},
        "limits": _object(_limits(limit_names), description="How much of it."),
        "grant_limits": _object(_limits(grant_limits), description="How much of it, or of one statement."),
        "data_limits": _object(_limits(data_limits), description="How much of it, or of one statement."),
        "call_limits": _object(_limits(call_limits), description="How much of it, or of one call."),
    }


def _limits(names: tuple[str, ...]) -> dict[str, object]:
    said = {
        "actions": "Requests, e.g. `30/min`.",
        "rows": "Rows returned, e.g. `1000/h`; of a read grant or a mount also `1000`, by one statement.",
        "bytes": "Bytes returned, e.g. `1000000/h`; of a grant or a mount also `1000000`, by one statement.",
        "batch": "Rows that one statement may write.",
        "cost": "Money, e.g. `5 USD/day`.",
        "concurrent": "What runs at once.",
    }
    many = {"type": "array", "items": {"type": ["string", "integer"]}, "minItems": 1}

    def told(name: str) -> Schema:
        if name == "timeout":
            return _ref("duration", "How long one statement may run, e.g. `5s`.")
        if name in once_limits:
            return {"type": ["string", "integer"], "description": said[name]}
        return {"anyOf": [{"type": ["string", "integer"]}, many], "description": said[name] + " A list: each holds."}

    return {name: told(name) for name in names}


def _mounts() -> dict[str, object]:
    label = _text("`" + "` < `".join(levels) + "`, or a free tag such as `pii` or `untrusted`.")
    resource = _object(
        {
            "table": _text(
                "`schema.table`; a bare name is in `public`, of a file in `main`. Of Trino `catalog.schema.table`."
            ),
            "key": _several({"type": "string"}, "Columns that identify a row.", 1),
            "tenant": _text("Column that must always equal the session's tenant."),
            "labels": {
                "type": "object",
                "additionalProperties": _several(label, "Labels of the column.", 1),
                "description": "Column (or `*` for the rest) to its labels. What has no level is `internal`.",
            },
            "groups": {
                "type": "object",
                "additionalProperties": _several({"type": "string"}, "Columns of the group.", 1),
                "description": "Names for several columns, for actions such as `tickets:update:assignment`.",
            },
        },
        "table",
    )
    resources = {
        "type": "object",
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": _ref("resource"),
        "description": "What agents know of it, by name. What is not mapped does not exist for them.",
    }
    postgres = _object(
        {
            "kind": {"const": "postgres", "description": "What kind of backend it is."},
            "url": _text("Where it is: `${ENV}`, `file:PATH`, `vault:PATH`, or a URL without a password in it."),
            "resources": resources,
            "sql": {"type": "boolean", "description": "Whether `sql:` predicates and masks are switched on."},
            "functions": _several({"type": "string"}, "Further functions, `schema.name`, that agents may call."),
            "extensions": _several(
                {"enum": sorted(REVIEWED)}, "Extensions whose functions, operators and types agents may use."
            ),
            "plaintext": {"type": "boolean", "description": "Whether clients beyond loopback may do without TLS."},
            "limits": _ref("data_limits", "Ceilings on every statement, and what all agents together may use."),
            "enforce": _enum(("rewrite", "both"), "`both`: inside PostgreSQL too, by the compiled native depth."),
        },
        "kind",
        "url",
    )
    sources: Schema = {
        "type": "object",
        "propertyNames": {"pattern": _NAME},
        "additionalProperties": {"type": "string", "pattern": r"\.(parquet|csv|tsv|csv\.gz|tsv\.gz)$"},
        "description": "Of `duckdb`: Parquet and CSV files of the folder, by name: tables of the schema `sources`.",
    }
    engines = [
        _object(
            {
                "kind": {"const": "sql", "description": "Another database; agents reach it through the tool `query`."},
                "engine": _enum(names, "Which one."),
                key: place,
                **more,
                "resources": resources,
                "limits": _ref("data_limits", "Ceilings on every statement, and what all agents together may use."),
            },
            "kind",
            "engine",
            key,
        )
        for key, names, place, more in (
            ("file", file_engines, _text("Path from the policy's folder; `${ENV}` is read."), {"sources": sources}),
            ("url", url_engines, _text("Where it is: `${ENV}`, `file:PATH`, or a URL without a password in it."), {}),
        )
    ]
    kinds = [postgres, *engines, mcp_mount(), python_mount(), http_mount(), email_mount(), files_mount()]
    return {
        "mount": {"anyOf": [*map(_observable, kinds)]},
        "resource": resource,
        **tool_schemas(),
    }


def _observable(mount: dict[str, object]) -> dict[str, object]:
    """Return the schema of a mount that may be observed."""
    properties = cast("dict[str, object]", mount["properties"])
    return {**mount, "properties": {**properties, "observe": _ref("observe", "Every agent is observed there.")}}


def _roles() -> dict[str, object]:
    mask = {
        "description": "How the field is shown instead of in clear.",
        "anyOf": [
            {"enum": [name for name in mask_names if name != "round"]},
            {"type": "null"},
            _object({"round": {"type": "number", "exclusiveMinimum": 0, "description": "The step."}}, "round"),
            _object({"sql": _text("An expression over the row's columns.")}, "sql"),
        ],
    }
    grant = _object(
        {
            "id": _text("A name of its own for records and reviews."),
            "allow": _ref("action", "What is allowed."),
            "deny": _ref("action", "What is taken away; it always wins."),
            "reason": _text("Why; every allow has one."),
            "rows": _ref("matchers", "Which rows: column to matcher; all must hold."),
            "sql": _text("A predicate in the database's dialect, and-ed to `rows`."),
            "when": _text("A condition in CEL over `session` and `resource`."),
            "fields": _ref("fields", "Which fields. Omitted: the accepted columns labelled below confidential."),
            "mask": {
                "anyOf": [
                    {"type": "object", "additionalProperties": _ref("mask")},
                    {"type": "array", "items": {"enum": list(redactions)}, "minItems": 1},
                ],
                "description": "Fields shown masked; of files, what is masked in their text.",
            },
            "set": _ref("matchers", "What may be written: column to matcher."),
            "args": {
                "description": "Arguments of a tool's call (`*`: every other one); none but these. `any`: all of them.",
                "anyOf": [{"const": "any"}, _ref("matchers")],
            },
            "items": _ref("matchers", "Which items of a tool's result: path to matcher; all must hold."),
            "limits": _ref("grant_limits"),
            "through": _enum(("direct", "queue"), "How a write is done: at once, or held for people to approve."),
            "preview": _enum(("rows", "count", "off"), "What is found out beforehand of a write that waits."),
            "aggregate": _object(
                {
                    "min_group": {"type": "integer", "minimum": 1, "description": "Smaller groups are dropped."},
                    "groupings": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "How many different groupings a session may ask for. Default 20.",
                    },
                },
                "min_group",
                description="Only count, sum and average; never a row.",
            ),
            "override": {"type": "boolean", "description": "Replace the inherited allows of the same action."},
        }
    )
    return {
        "mask": mask,
        "grant": {
            **grant,
            "oneOf": [{"required": ["allow", "reason"]}, {"required": ["deny"], "properties": {"allow": False}}],
        },
        "role": _object(
            {
                "inherits": _several({"type": "string"}, "Roles whose grants it has as well."),
                "grants": {"type": "array", "items": _ref("grant"), "description": "Its own grants."},
                "limits": _ref("limits"),
            }
        ),
    }


def _agents() -> dict[str, object]:
    session = _object(
        {
            "ttl": _ref("duration", "Longest life of a session."),
            "idle": _ref("duration", "How long a session may do nothing."),
            "actions": {"type": "integer", "minimum": 1, "description": "Requests in one session."},
            "cost": _text("Money in one session, e.g. `2 USD`."),
            "hours": _text("When, e.g. `Mon-Fri 07:00-19:00 Europe/Berlin`."),
            "concurrent": {"type": "integer", "minimum": 1, "description": "Requests of one session at once."},
        },
        description="Bounds of every session.",
    )
    derived = _object(
        {
            "type": _enum(type_names, "Type of the value."),
            "from": _text("Resource in which the gateway looks the value up."),
            "by": _text("The context value by which the row is found."),
            "column": _text("The column to take; by default named like the value."),
            "claim": _text("The person's verified claim that it is taken from."),
        },
        "type",
    )
    narrowing = _object(
        {
            "rows": _ref("matchers", "Only these rows."),
            "fields": _ref("fields", "Only these fields."),
            "verbs": _several(_text("A verb: of data, or one that a tool is mapped to."), "Only these verbs.", 1),
        }
    )
    task = _object(
        {
            "agents": _several({"type": "string"}, "Agents that may do it.", 1),
            "users": _object(
                {
                    "ids": _several({"type": "string"}, "People, by id."),
                    "groups": _several({"type": "string"}, "People, by group."),
                },
                description="For whom it may be done.",
            ),
            "context": {
                "type": "object",
                "additionalProperties": {"anyOf": [_enum(type_names, "Type of the value."), derived]},
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
    agent = _object(
        {
            "owner": _text("The person or team that answers for it."),
            "purpose": _text("What it is for."),
            "roles": _several({"type": "string"}, "Its roles."),
            "session": session,
            "limits": _ref("limits"),
            "quarantine": _object(
                {
                    "denials": _text("How many denials in which time, e.g. `20/min`."),
                    "suspend": _enum(("session", "agent"), "What is suspended then; by default the session."),
                },
                "denials",
                description="Suspends by itself what is denied again and again.",
            ),
            "observe": _ref("observe", "It is observed on every mount."),
        },
        "owner",
        "purpose",
        "roles",
    )
    boundary: Schema = {
        "type": "object",
        "additionalProperties": narrowing,
        "description": "What is reached at most: resource to what is left of it, `{}` for all.",
    }
    observe = {
        "anyOf": [{"type": "boolean"}, _object({"boundary": boundary}, "boundary")],
        "description": "In staging only: everything that was accepted is let through, and what was used is recorded.",
    }
    return {"agent": agent, "task": task, "observe": observe}


def _gates() -> Schema:
    built_in = {
        **_object(
            {
                "loosen": _several(_ref("action"), "Actions that the built-in gate no longer holds; needs `reason`."),
                "args": _ref("matchers", "Of an effect's gate: only with these arguments; needs `reason`."),
                "reason": _text("Why."),
                **_terms(),
            }
        ),
        "dependentRequired": {"loosen": ["reason"], "args": ["reason"]},
        "minProperties": 1,
    }
    return {
        "type": ["object", "null"],
        "properties": dict.fromkeys(built_in_gates, built_in),
        "additionalProperties": _ref("gate"),
        "description": "Rules that hold a request for people, and what is said about the built-in ones.",
    }


def _terms() -> dict[str, object]:
    """Return how a gate is opened."""
    return {
        "approvers": _several({"type": "string"}, "Who may approve: names in `approvers`, else an issuer's groups.", 1),
        "quorum": {
            "type": "integer",
            "minimum": 1,
            "maximum": most_approvals,
            "description": "How many different people have to approve.",
        },
        "escalate": _object(
            {
                "after": _ref("duration", "Once it has waited for so long …"),
                "to": _several({"type": "string"}, "… these groups may approve too.", 1),
            },
            "after",
            "to",
        ),
        "reauth": _ref("duration", "Who approves must have logged in within this time."),
        "expires": _ref("duration", "How long an approval is waited for; then it is denied."),
        "mode": _enum(("wait", "execute"), "Once approved: the agent's retry runs it, or the gateway itself."),
        "message": _text("What the agent that waits and the person who decides are told."),
    }


def _rules() -> dict[str, object]:
    effects = ("external", "irreversible", "access_control", "money")
    approvers = _several({"type": "string"}, "Who may approve.", 1)
    return {
        "gate": _object(
            {
                "on": _ref("action", "What it holds."),
                "args": _ref("matchers", "Only with these arguments."),
                "reason": _text("Why."),
                **_terms(),
            },
            "on",
            "approvers",
        ),
        "approvers": _object(
            {
                "users": _several(
                    {"type": "string"}, "People, as the issuer names them; `local:NAME` of this machine."
                ),
                "groups": _several({"type": "string"}, "An issuer's groups."),
            },
            description="Who belongs to a group of reviewers.",
        ),
        "elevation": _object(
            {
                "role": _text("The extra role."),
                "for": _several({"type": "string"}, "Agents that may get it.", 1),
                "max": _ref("duration", "For how long at most."),
                "approvers": approvers,
            },
            "role",
            "for",
            "max",
            "approvers",
        ),
        "flow": _object(
            {
                "after": _text("Once data of this label was read …"),
                "hold": _enum(effects, "… hold actions of this effect."),
                "deny": _enum(effects, "… deny actions of this effect."),
                "targets": _enum(("trusted",), "Target arguments may not come from fields that others can write."),
            }
        ),
        "review": _object(
            {
                "every": _ref("duration", "How often grants are recertified."),
                "restricted": _ref("duration", "How often those on restricted data are."),
                "unused_after": _ref("duration", "When a grant counts as unused; 60d."),
                "overdue": _enum(("warn", "revoke"), "Past the deadline: tell people, or turn grants off as well."),
                "approvers": approvers,
            },
            "every",
            description="Recertification of grants by people.",
        ),
    }
