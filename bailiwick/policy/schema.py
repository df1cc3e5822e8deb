"""The JSON Schema (2020-12) of a policy document, so that editors complete and explain it.

It says what can be said about one file without knowing the others; `load` is the authority.
"""

from __future__ import annotations

from typing import cast

from bailiwick.model.action import data_verbs
from bailiwick.model.files import redactions
from bailiwick.model.label import levels
from bailiwick.model.mask import mask_names
from bailiwick.policy.schema_agents import agents
from bailiwick.policy.schema_own import email_mount
from bailiwick.policy.schema_rules import gates, rules
from bailiwick.policy.schema_tools import files_mount, http_mount, mcp_mount, python_mount, tool_schemas
from bailiwick.policy.schema_words import DURATION, NAME, Schema, mapping, named, one_of, ref, several, text
from bailiwick.policy.sql_mounts import file_engines, url_engines
from bailiwick.policy.values import call_limits, data_limits, grant_limits, limit_names, once_limits
from bailiwick.sql.extension_lists import REVIEWED


def policy_schema() -> dict[str, object]:
    """Return the schema of a policy file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:bailiwick:policy:1",
        "title": "Bailiwick policy",
        "description": "What AI agents may see and do. Everything that is not allowed here is denied.",
        **mapping(
            {
                "bailiwick": {"const": 1, "description": "Version of the format."},
                "mounts": named("mount", "The backends that Bailiwick stands in front of, by name."),
                "roles": named("role", "Named sets of grants, by name."),
                "agents": named("agent", "The registered agents, by name."),
                "tasks": named("task", "Templates that narrow an agent to one kind of work, by name."),
                "gates": gates(),
                "elevations": named("elevation", "Extra roles for a bounded time, by name."),
                "approvers": named(
                    "approvers", "Groups of people who decide, by name; others are the issuer's groups."
                ),
                "flows": named("flow", "Rules about where labelled data may go, by name."),
                "review": ref("review"),
                "retention": {
                    "description": "How long the ledger keeps what records say.",
                    "anyOf": [
                        ref("duration"),
                        mapping(
                            {
                                "default": ref("duration", "Of records without one of the labels."),
                                "labels": {
                                    "type": "object",
                                    "additionalProperties": ref("duration"),
                                    "description": "By label; of several the shortest holds.",
                                },
                            }
                        ),
                    ],
                },
            }
        ),
        "$defs": {**_values(), **_mounts(), **_roles(), **agents(), **rules()},
    }


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
        "within": ref("duration", "A moment in the last so long, e.g. `90d`."),
        "prefix": text("Text that starts with this."),
        "glob": text("Text that matches a pattern of `*` (any run) and `?` (one character)."),
        "not": ref("matcher", "Not this. Unknown stays unknown."),
        "empty": {"type": "boolean", "description": "true: NULL or empty; false: present and not empty."},
    }
    return {
        "duration": text("A duration such as `30s`, `5m`, `4h`, `90d`, `2w`, `7y`.", pattern=DURATION),
        "action": text(
            "`resource:verb` or, for update and create, `resource:verb:field`. Verbs for data: "
            + ", ".join(data_verbs)
            + "; `*` for all.",
            pattern="^([A-Za-z_][A-Za-z0-9_-]*|\\*):([A-Za-z_][A-Za-z0-9_-]*|\\*)(:.+)?$",
        ),
        "fields": several({"type": "string", "minLength": 1}, "Columns, or groups of columns.", 1),
        "matcher": {
            "description": "A value (equal), a list (one of), `$name` (a session value), `any`, or conditions.",
            "anyOf": [
                scalar,
                {"type": "array", "items": scalar},
                {**mapping(conditions), "minProperties": 1},
            ],
        },
        "matchers": {"type": "object", "additionalProperties": ref("matcher")},
        "limits": mapping(_limits(limit_names), description="How much of it."),
        "grant_limits": mapping(_limits(grant_limits), description="How much of it, or of one statement."),
        "data_limits": mapping(_limits(data_limits), description="How much of it, or of one statement."),
        "call_limits": mapping(_limits(call_limits), description="How much of it, or of one call."),
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
            return ref("duration", "How long one statement may run, e.g. `5s`.")
        if name in once_limits:
            return {"type": ["string", "integer"], "description": said[name]}
        return {"anyOf": [{"type": ["string", "integer"]}, many], "description": said[name] + " A list: each holds."}

    return {name: told(name) for name in names}


def _mounts() -> dict[str, object]:
    label = text("`" + "` < `".join(levels) + "`, or a free tag such as `pii` or `untrusted`.")
    resource = mapping(
        {
            "table": text(
                "`schema.table`; a bare name is in `public`, of a file in `main`. Of Trino `catalog.schema.table`."
            ),
            "key": several({"type": "string"}, "Columns that identify a row.", 1),
            "tenant": text("Column that must always equal the session's tenant."),
            "labels": {
                "type": "object",
                "additionalProperties": several(label, "Labels of the column.", 1),
                "description": "Column (or `*` for the rest) to its labels. What has no level is `internal`.",
            },
            "groups": {
                "type": "object",
                "additionalProperties": several({"type": "string"}, "Columns of the group.", 1),
                "description": "Names for several columns, for actions such as `tickets:update:assignment`.",
            },
        },
        "table",
    )
    resources = {
        "type": "object",
        "propertyNames": {"pattern": NAME},
        "additionalProperties": ref("resource"),
        "description": "What agents know of it, by name. What is not mapped does not exist for them.",
    }
    postgres = mapping(
        {
            "kind": {"const": "postgres", "description": "What kind of backend it is."},
            "url": text("Where it is: `${ENV}`, `file:PATH`, `vault:PATH`, or a URL without a password in it."),
            "resources": resources,
            "sql": {"type": "boolean", "description": "Whether `sql:` predicates and masks are switched on."},
            "functions": several({"type": "string"}, "Further functions, `schema.name`, that agents may call."),
            "extensions": several(
                {"enum": sorted(REVIEWED)}, "Extensions whose functions, operators and types agents may use."
            ),
            "plaintext": {"type": "boolean", "description": "Whether clients beyond loopback may do without TLS."},
            "limits": ref("data_limits", "Ceilings on every statement, and what all agents together may use."),
            "enforce": one_of(("rewrite", "both"), "`both`: inside PostgreSQL too, by the compiled native depth."),
        },
        "kind",
        "url",
    )
    sources: Schema = {
        "type": "object",
        "propertyNames": {"pattern": NAME},
        "additionalProperties": {"type": "string", "pattern": r"\.(parquet|csv|tsv|csv\.gz|tsv\.gz)$"},
        "description": "Of `duckdb`: Parquet and CSV files of the folder, by name: tables of the schema `sources`.",
    }
    engines = [
        mapping(
            {
                "kind": {"const": "sql", "description": "Another database; agents reach it through the tool `query`."},
                "engine": one_of(names, "Which one."),
                key: place,
                **more,
                "resources": resources,
                "limits": ref("data_limits", "Ceilings on every statement, and what all agents together may use."),
            },
            "kind",
            "engine",
            key,
        )
        for key, names, place, more in (
            ("file", file_engines, text("Path from the policy's folder; `${ENV}` is read."), {"sources": sources}),
            ("url", url_engines, text("Where it is: `${ENV}`, `file:PATH`, or a URL without a password in it."), {}),
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
    return {**mount, "properties": {**properties, "observe": ref("observe", "Every agent is observed there.")}}


def _roles() -> dict[str, object]:
    mask = {
        "description": "How the field is shown instead of in clear.",
        "anyOf": [
            {"enum": [name for name in mask_names if name != "round"]},
            {"type": "null"},
            mapping({"round": {"type": "number", "exclusiveMinimum": 0, "description": "The step."}}, "round"),
            mapping({"sql": text("An expression over the row's columns.")}, "sql"),
        ],
    }
    grant = mapping(
        {
            "id": text("A name of its own for records and reviews."),
            "allow": ref("action", "What is allowed."),
            "deny": ref("action", "What is taken away; it always wins."),
            "reason": text("Why; every allow has one."),
            "rows": ref("matchers", "Which rows: column to matcher; all must hold."),
            "sql": text("A predicate in the database's dialect, and-ed to `rows`."),
            "when": text("A condition in CEL over `session` and `resource`."),
            "fields": ref("fields", "Which fields. Omitted: the accepted columns labelled below confidential."),
            "mask": {
                "anyOf": [
                    {"type": "object", "additionalProperties": ref("mask")},
                    {"type": "array", "items": {"enum": list(redactions)}, "minItems": 1},
                ],
                "description": "Fields shown masked; of files, what is masked in their text.",
            },
            "set": ref("matchers", "What may be written: column to matcher."),
            "args": {
                "description": "Arguments of a tool's call (`*`: every other one); none but these. `any`: all of them.",
                "anyOf": [{"const": "any"}, ref("matchers")],
            },
            "items": ref("matchers", "Which items of a tool's result: path to matcher; all must hold."),
            "limits": ref("grant_limits"),
            "through": one_of(("direct", "queue"), "How a write is done: at once, or held for people to approve."),
            "preview": one_of(("rows", "count", "off"), "What is found out beforehand of a write that waits."),
            "aggregate": mapping(
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
        "role": mapping(
            {
                "inherits": several({"type": "string"}, "Roles whose grants it has as well."),
                "grants": {"type": "array", "items": ref("grant"), "description": "Its own grants."},
                "limits": ref("limits"),
            }
        ),
    }
