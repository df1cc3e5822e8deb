"""The linter finds each mistake that it names, and is silent about its nearest good twin."""

from __future__ import annotations

import pytest

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.policy.lint import Finding, lint
from bailiwick.policy.load import load
from bailiwick.policy.mistakes import mistakes
from bailiwick.policy.suspects import suspect

BASE = """\
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: tickets, key: id, tenant: tenant_id, labels: {ssn: restricted}}
      notes: {table: notes, key: id, tenant: tenant_id}
roles:
  support:
    grants:
      - {allow: tickets:read, reason: answers them, fields: [id, status], rows: {id: $ticket_id}}
agents:
  bot: {owner: team, purpose: tests, roles: [support]}
tasks:
  work: {agents: [bot], context: {ticket_id: integer}, only: {tickets: {}}}
"""
GRANT = "      - {allow: tickets:read,"


def found(text: str, lock: Lock | None = None) -> list[Finding]:
    loaded = load({"p.yaml": text})
    assert loaded.policy is not None, loaded.problems
    return list(lint(loaded.policy, lock))


def with_grant(grant: str) -> str:
    return BASE.replace(GRANT, f"      - {{{grant}}}\n{GRANT}")


def test_a_careful_policy_has_no_finding() -> None:
    assert found(BASE) == []


def with_args(args: str, effect: str = "allow") -> str:
    """Return a policy whose support may call a tool with these arguments."""
    tools = "  desk: {kind: mcp, command: [desk], tools: {fetch: {action: pages:read}}}\nroles:\n"
    return with_grant(f"{effect}: pages:read, reason: x, args: {{{args}}}").replace("roles:\n", tools)


PATHS = [
    ("x: {prefix: /srv/files}", "x: {prefix: /srv/files/}"),
    ("x: {prefix: 'https://api.example'}", "x: {prefix: 'https://api.example/'}"),
    ("x: {prefix: 'https://api.example/v1'}", "x: {prefix: 'https://api.example/v1/'}"),
    ("x: {glob: 'https://*.example/v1'}", "x: {glob: 'https://api.example/*'}"),
    ("x: {prefix: 'C:\\files'}", "x: {prefix: 'C:\\files\\'}"),
    ("path: {prefix: $ticket_id}", "note: {prefix: $ticket_id}"),
    ("file_path: {prefix: notes}", "title: {prefix: notes}"),
    ("url: {glob: '*.example'}", "url: {glob: 'https://api.example/*'}"),
    ("path: {not: {prefix: /etc/}}", "path: [/srv/a, /srv/b]"),
    ("path: {prefix: /srv/, not: {glob: '*.key'}}", "path: {prefix: /srv/, not: /srv/key}"),
]


def with_files(paths: str, labels: str = "{}", grant: str = "") -> str:
    """Return a policy with a mount of files, of which support may read two resources, and what `grant` says."""
    resources = f"{{kb: {{paths: [kb/**]}}, plans: {{paths: [{paths}]}}}}"
    mount = f"  docs: {{kind: files, root: r, resources: {resources}, labels: {labels}}}\nroles:\n"
    more = "      - {allow: kb:read, reason: x}\n      - {allow: plans:read, reason: x}\n"
    return BASE.replace("roles:\n", mount, 1).replace(GRANT, f"{more}{grant}{GRANT}")


DENIED = "      - {deny: kb:read, reason: x, args: {path: {glob: 'kb/plans/*.md'}}}\n"
ALSO = DENIED + DENIED.replace("kb:read", "plans:read")
FILES = [
    ("BW115", with_files("'kb/*/a?.md'"), with_files("'ka/*/a?.md'")),
    ("BW115", with_files("'kb/*/a?.md'"), with_files("'kb/*/a?.md'").replace("plans:read", "kb:list")),
    ("BW116", with_files("kb/plans/**", grant=DENIED), with_files("plans/**", grant=DENIED)),
    ("BW116", with_files("kb/plans/**", grant=DENIED), with_files("kb/plans/**", grant=ALSO)),
    ("BW117", with_files("hr/**", "{'hr/*': pii}"), with_files("hr/**", "{'hr/*': pii, 'hr/**': internal}")),
    ("BW117", with_files("hr/**", "{'hp/**': pii}"), with_files("hr/**", "{'HR/**': pii}")),
    ("BW117", with_files("hr/**", "{'hr/*': pii}"), with_files("'hr/*'", "{'hr/*': pii}")),
]
CASES = [
    ("BW101", with_grant("allow: 'tickets:*', reason: x, limits: {actions: 1/h}"), BASE),
    ("BW101", BASE + "gates: {delete: {loosen: ['*:delete'], reason: test data only}}\n", BASE),
    ("BW102", with_grant("allow: '*:*', reason: x, limits: {actions: 1/h}"), BASE),
    (
        "BW103",
        with_grant("allow: tickets:update:status, reason: x, rows: {region: north}"),
        with_grant("allow: tickets:update:status, reason: x, rows: {region: north}, limits: {batch: 1}"),
    ),
    (
        "BW103",
        with_grant("allow: tickets:update:status, reason: x, rows: {region: north}, limits: {timeout: 5s}"),
        with_grant("allow: tickets:update:status, reason: x, rows: {region: north}, through: queue"),
    ),
    (
        "BW103",
        with_grant("allow: tickets:delete, reason: x"),
        with_grant("allow: tickets:delete, reason: x, rows: {id: $ticket_id}"),
    ),
    (
        "BW104",
        BASE + "gates: {delete: {loosen: [tickets:delete], reason: needed}}\n",
        BASE + "gates: {delete: {loosen: [tickets:delete], reason: the desk purges spam daily}}\n",
    ),
    (
        "BW105",
        BASE + "  other: {agents: [bot]}\n",
        BASE + "  other: {agents: [bot], only: {tickets: {}, notes: {}}}\n",
    ),
    ("BW105", BASE + "  other: {agents: [bot], only: {notes: {}}}\n", BASE),
    ("BW106", BASE.replace("tasks:\n", "  second: {owner: t, purpose: p, roles: []}\ntasks:\n"), BASE),
    (
        "BW109",
        BASE.replace("fields: [id, status]", "fields: [id, ssn]"),
        BASE.replace("fields: [id, status]", "fields: [id, ssn], mask: {ssn: last4}"),
    ),
    ("BW110", BASE.replace("notes, key: id, tenant: tenant_id", "notes, key: id"), BASE),
    (
        "BW111",
        with_grant("allow: tickets:update:id, reason: x, limits: {batch: 1}"),
        with_grant("allow: tickets:update:id, reason: x, set: {id: $ticket_id}, limits: {batch: 1}"),
    ),
    (
        "BW112",
        with_grant("allow: notes:delete, reason: x, limits: {batch: 1}"),
        with_grant("allow: tickets:delete, reason: x, limits: {batch: 1}"),
    ),
    ("BW113", BASE.replace("agents:\n", "  idle: {}\nagents:\n"), BASE),
    *(("BW114", with_args(bad), with_args(good)) for bad, good in PATHS),
    *FILES,
]


@pytest.mark.parametrize(("mistake", "bad", "good"), CASES)
def test_each_mistake_is_found_and_its_twin_is_not(mistake: str, bad: str, good: str) -> None:
    findings = found(bad)
    assert mistake in {finding.mistake.id for finding in findings}
    assert mistake not in {finding.mistake.id for finding in found(good)}
    assert all(1 <= finding.position.line <= bad.count("\n") for finding in findings)


def test_a_deny_of_what_begins_alike_can_be_spelled_around() -> None:
    (finding,) = found(with_args("path: {prefix: /etc/}", "deny"))
    assert finding.mistake.id == "BW114"
    assert "`prefix: /etc/` can be spelled around" in finding.message
    assert found(with_args("path: /etc/passwd", "deny")) == []


def lock_of(*names: str) -> Lock:
    columns = tuple(LockedColumn(name, "text") for name in names)
    return Lock({"crm": {("public", "notes"): LockedTable("public", "notes", "r", columns)}})


def test_unlabelled_columns_that_look_like_secrets_or_personal_data_are_found() -> None:
    findings = found(BASE, lock_of("id", "api_key", "emailAddress", "body"))
    assert [(finding.mistake.id, finding.message) for finding in findings] == [
        ("BW107", "column `api_key` of `notes` looks like a secret"),
        ("BW108", "column `emailAddress` of `notes` looks like personal data"),
    ]


def test_a_label_settles_what_a_column_is() -> None:
    labelled = BASE.replace("notes, key: id,", "notes, key: id, labels: {api_key: restricted, phone: pii},")
    assert found(labelled, lock_of("api_key", "phone")) == []


def test_every_mistake_is_documented_and_tested() -> None:
    assert len({mistake.id for mistake in mistakes}) == len(mistakes)
    tested = {mistake for mistake, _, _ in CASES} | {"BW107", "BW108"}
    assert tested == {mistake.id for mistake in mistakes}
    assert all(mistake.explanation and mistake.remedy for mistake in mistakes)


@pytest.mark.parametrize(
    ("column", "suspicion"),
    [
        ("password_hash", "secret"),
        ("ssn", "secret"),
        ("cardNumber", "secret"),
        ("first_name", "personal"),
        ("home-phone", "personal"),
        ("status", None),
        ("description", None),
        ("shipped_at", None),
    ],
)
def test_suspicion_comes_from_whole_words(column: str, suspicion: str | None) -> None:
    assert suspect(column) == suspicion
