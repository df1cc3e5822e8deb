"""The part of the policy's JSON Schema that brings people in: gates, reviewers, elevations, flows and reviews."""

from __future__ import annotations

from bailiwick.policy.rules import built_in_gates, most_approvals
from bailiwick.policy.schema_words import Schema, mapping, one_of, ref, several, text


def gates() -> Schema:
    """Return the schema of the section `gates`."""
    built_in = {
        **mapping(
            {
                "loosen": several(ref("action"), "Actions that the built-in gate no longer holds; needs `reason`."),
                "args": ref("matchers", "Of an effect's gate: only with these arguments; needs `reason`."),
                "reason": text("Why."),
                **_terms(),
            }
        ),
        "dependentRequired": {"loosen": ["reason"], "args": ["reason"]},
        "minProperties": 1,
    }
    return {
        "type": ["object", "null"],
        "properties": dict.fromkeys(built_in_gates, built_in),
        "additionalProperties": ref("gate"),
        "description": "Rules that hold a request for people, and what is said about the built-in ones.",
    }


def _terms() -> dict[str, object]:
    """Return how a gate is opened."""
    return {
        "approvers": several({"type": "string"}, "Who may approve: names in `approvers`, else an issuer's groups.", 1),
        "quorum": {
            "type": "integer",
            "minimum": 1,
            "maximum": most_approvals,
            "description": "How many different people have to approve.",
        },
        "escalate": mapping(
            {
                "after": ref("duration", "Once it has waited for so long …"),
                "to": several({"type": "string"}, "… these groups may approve too.", 1),
            },
            "after",
            "to",
        ),
        "reauth": ref("duration", "Who approves must have logged in within this time."),
        "expires": ref("duration", "How long an approval is waited for; then it is denied."),
        "mode": one_of(("wait", "execute"), "Once approved: the agent's retry runs it, or the gateway itself."),
        "message": text("What the agent that waits and the person who decides are told."),
    }


def rules() -> dict[str, object]:
    """Return the definitions of gates, reviewers, elevations, flows and reviews."""
    effects = ("external", "irreversible", "access_control", "money")
    approvers = several({"type": "string"}, "Who may approve.", 1)
    return {
        "gate": mapping(
            {
                "on": ref("action", "What it holds."),
                "args": ref("matchers", "Only with these arguments."),
                "reason": text("Why."),
                **_terms(),
            },
            "on",
            "approvers",
        ),
        "approvers": mapping(
            {
                "users": several({"type": "string"}, "People, as the issuer names them; `local:NAME` of this machine."),
                "groups": several({"type": "string"}, "An issuer's groups."),
            },
            description="Who belongs to a group of reviewers.",
        ),
        "elevation": mapping(
            {
                "role": text("The extra role."),
                "for": several({"type": "string"}, "Agents that may get it.", 1),
                "max": ref("duration", "For how long at most."),
                "approvers": approvers,
            },
            "role",
            "for",
            "max",
            "approvers",
        ),
        "flow": mapping(
            {
                "after": text("Once data of this label was read …"),
                "hold": one_of(effects, "… hold actions of this effect."),
                "deny": one_of(effects, "… deny actions of this effect."),
                "targets": one_of(("trusted",), "Target arguments may not come from fields that others can write."),
            }
        ),
        "review": mapping(
            {
                "every": ref("duration", "How often grants are recertified."),
                "restricted": ref("duration", "How often those on restricted data are."),
                "unused_after": ref("duration", "When a grant counts as unused; 60d."),
                "overdue": one_of(("warn", "revoke"), "Past the deadline: tell people, or turn grants off as well."),
                "approvers": approvers,
            },
            "every",
            description="Recertification of grants by people.",
        ),
    }
