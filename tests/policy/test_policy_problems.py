"""Each mistake in a policy text is reported where it stands, with what was meant; and never alone hides another."""

from __future__ import annotations

import pytest

from bailiwick.policy.load import load
from bailiwick.policy.problem import Problem

HEAD = """\
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers: {table: customers, key: id, tenant: tenant_id, groups: {address: [street, city]}}
      tickets: {table: public.tickets, key: id}
tasks:
  work: {agents: [bot], context: {ticket_id: integer}}
agents:
  bot: {owner: team, purpose: tests, roles: [base]}
"""
GRANT = HEAD + "roles:\n  base:\n    grants:\n      - {%s}\n"
SQL_ON = GRANT.replace("${CRM_URL}\n", "${CRM_URL}\n    sql: true\n")


def problems(text: str) -> tuple[Problem, ...]:
    return load({"p.yaml": text}).problems


def told(text: str) -> list[tuple[str, str]]:
    """Return code and suggestion of each problem."""
    return [(problem.code, problem.suggestion) for problem in problems(text)]


GOOD_GRANTS = [
    "allow: tickets:read, reason: x",
    "allow: tickets:read, reason: x, rows: {id: $ticket_id, on: no, region: $user.region}",
    "allow: tickets:read, reason: x, rows: {region: [$user.groups, $$x], a: {not: {glob: 'a*'}}}",
    "allow: tickets:update:status, reason: x, set: {status: [open]}",
    "allow: customers:update:address, reason: x, set: {city: [Berlin]}",
    "allow: customers:read, reason: x, fields: [address, name], mask: {city: null, name: partial}",
    "allow: tickets:create, reason: x, fields: [status], set: {status: open}",
    "allow: tickets:read, reason: x, when: 'session.user.id == \"ada\"'",
    "allow: '*:read', reason: x",
    "deny: tickets:delete",
    "deny: customers:read, fields: [ssn]",
]


@pytest.mark.parametrize("grant", GOOD_GRANTS)
def test_good_grants_have_no_problem(grant: str) -> None:
    assert told(GRANT % grant) == []


BAD_GRANTS = [
    ("alow: tickets:read, reason: x", ["missing_key", "unknown_key"], "did you mean `allow`?"),
    ("allow: tickets:read", ["missing_key"], "add `reason:`"),
    ("allow: tickets:read, reason: ''", ["wrong_type"], ""),
    ("allow: ticket:read, reason: x", ["unknown_resource"], "did you mean `tickets`?"),
    ("allow: tickets:raed, reason: x", ["unknown_verb"], "did you mean `read`?"),
    ("allow: tickets:select, reason: x", ["unknown_verb"], "did you mean `read`?"),
    ("allow: tickets, reason: x", ["bad_action"], "did you mean `tickets:read`?"),
    ("allow: tickets:read:subject, reason: x", ["bad_action"], "with `fields: [subject]`"),
    ("allow: tickets:read, deny: tickets:read, reason: x", ["allow_and_deny"], "write two grants"),
    ("allow: tickets:update:status, reason: x, fields: [status]", ["field_named_twice"], "one of the two"),
    ("allow: tickets:update:status, reason: x, set: {stauts: open}", ["unknown_field"], "did you mean `status`?"),
    ("allow: tickets:read, reason: x, fields: [a], mask: {b: full}", ["unknown_field"], "name it there"),
    ("allow: tickets:read, reason: x, fields: []", ["empty_list"], ""),
    ("allow: tickets:read, reason: x, fields: [a, a]", ["duplicate_name"], ""),
    ("allow: tickets:read, reason: x, set: {a: 1}", ["misplaced_key"], "remove it"),
    ("allow: tickets:delete, reason: x, fields: [a]", ["misplaced_key"], "remove it"),
    ("allow: tickets:read, reason: x, override: true", ["nothing_to_override"], "remove `override`"),
    ("deny: tickets:read, mask: {a: full}", ["misplaced_key"], "remove it"),
    ("allow: tickets:read, reason: x, mask: {a: partal}", ["unknown_value"], "did you mean `partial`?"),
    ("allow: tickets:read, reason: x, mask: {a: round}", ["bad_mask"], "{round: 1000}"),
    ("allow: tickets:read, reason: x, mask: {a: {round: 0}}", ["wrong_type"], ""),
    ("allow: tickets:read, reason: x, rows: {a: $tiket_id}", ["unknown_reference"], "did you mean `ticket_id`?"),
    ("allow: tickets:read, reason: x, rows: {a: $ticket_id.x}", ["bad_reference"], "did you mean `$ticket_id`?"),
    ("allow: tickets:read, reason: x, rows: {a: $user}", ["bad_reference"], "`$user.id`"),
    ("allow: tickets:read, reason: x, rows: {a: $1}", ["bad_reference"], "`$$1`"),
    ("allow: tickets:read, reason: x, rows: {a: $user.groups}", ["list_as_value"], "`[$user.groups]`"),
    ("allow: tickets:read, reason: x, rows: {a: null}", ["wrong_type"], "`{empty: true}`"),
    ("allow: tickets:read, reason: x, rows: {a: {}}", ["wrong_type"], "empty"),
    ("allow: tickets:read, reason: x, rows: {a: {mni: 1}}", ["unknown_key"], "did you mean `min`?"),
    ("allow: tickets:read, reason: x, rows: {a: {min: 5, max: 1}}", ["matches_nothing"], "swap"),
    ("allow: tickets:read, reason: x, rows: {a: {over: 1, under: 1.0}}", ["matches_nothing"], "swap"),
    ("allow: tickets:read, reason: x, rows: {a: {min: '2024-01-01'}}", ["wrong_type"], "without quotes"),
    ("allow: tickets:read, reason: x, rows: {a: {within: 90 days}}", ["wrong_type"], "did you mean `90d`?"),
    ("allow: tickets:read, reason: x, rows: {a: {glob: '[ab]*'}}", ["bad_glob"], "no `[ ]`"),
    ("allow: tickets:read, reason: x, rows: {a: {prefix: 1}}", ["wrong_type"], "quotes"),
    ("allow: tickets:read, reason: x, rows: {a: {empty: yes}}", ["wrong_type"], "write `true` or `false`"),
    ("allow: tickets:read, reason: x, rows: {a: {not: any}}", ["matches_nothing"], ""),
    ("allow: tickets:read, reason: x, rows: {a: 2024-01-01T00:00:00}", ["ambiguous_scalar"], "Z` for UTC"),
    ("allow: tickets:read, reason: x, rows: {a: 007}", ["ambiguous_scalar"], "quotes"),
    ("allow: tickets:read, reason: x, limits: {actions: 30}", ["bad_limit"], ""),
    ("allow: tickets:update:a, reason: x, limits: {batch: 5/min}", ["bad_limit"], ""),
    ("allow: tickets:read, reason: x, limits: {actions: 30/fortnight}", ["wrong_type"], ""),
    ("allow: tickets:read, reason: x, limits: {cost: 2}", ["bad_limit"], ""),
    ("allow: tickets:read, reason: x, limits: {batch: 1}", ["misplaced_key"], "rows"),
    ("allow: tickets:update:a, reason: x, limits: {rows: 5}", ["misplaced_key"], "`batch`"),
    ("allow: tickets:read, reason: x, limits: {timeout: 5}", ["wrong_type"], ""),
    ("allow: tickets:read, reason: x, limits: {timeout: 0s}", ["wrong_type"], ""),
    ("allow: tickets:read, reason: x, limits: {bytes: 0}", ["bad_limit"], ""),
    ("allow: tickets:read, reason: x, limits: {time: 5s}", ["unknown_key"], ""),
    ("allow: tickets:read, reason: x, through: queue", ["misplaced_key"], ""),
    ("allow: tickets:read, reason: x, sql: 'a > 1'", ["sql_is_off"], "`sql: true`"),
    ("allow: tickets:read, reason: x, mask: {a: {sql: 'left(a, 1)'}}", ["sql_is_off"], "`sql: true`"),
    ("allow: tickets:read, reason: x, when: 'session.('", ["bad_condition"], ""),
    ("allow: tickets:read, reason: x, when: 'nobody == 1'", ["bad_condition"], "`session`"),
    ("allow: tickets:read, reason: x, when: '" + "1 == 1 && " * 500 + "true'", ["bad_condition"], "matchers"),
    (
        "allow: tickets:read, reason: x, when: 'session.a.exists(x, session.b.exists(y, x == y))'",
        ["bad_condition"],
        "",
    ),
]


@pytest.mark.parametrize(("grant", "codes", "suggestion"), BAD_GRANTS)
def test_bad_grants_are_told_what_is_wrong_and_what_was_meant(grant: str, codes: list[str], suggestion: str) -> None:
    found = problems(GRANT % grant)
    assert sorted(problem.code for problem in found) == codes
    assert any(suggestion in problem.suggestion for problem in found)
    assert all(problem.position.line == 16 for problem in found)


@pytest.mark.parametrize("predicate", ["a > ", "a; drop table x", "a -- x", "exists (select 1 from tickets)"])
def test_sql_that_is_not_one_qualified_expression_is_reported(predicate: str) -> None:
    grant = f"allow: tickets:read, reason: x, sql: '{predicate}'"
    assert [code for code, _ in told(SQL_ON % grant)] == ["bad_sql"]
    assert told(SQL_ON % "allow: tickets:read, reason: x, sql: 'a > 1 AND b = $ticket_id'") == []


def test_references_inside_sql_are_checked_as_well() -> None:
    grant = "allow: tickets:read, reason: x, sql: \"a = $tiket_id AND b = '$not_one'\""
    assert told(SQL_ON % grant) == [("unknown_reference", "did you mean `ticket_id`?")]


BAD_TEXTS = [
    ("", [("1:1", "missing_key")]),
    ("bailiwick: 2\n", [("1:1", "bad_version")]),
    ("bailiwick: 1\nmonuts: {}\n", [("2:1", "unknown_key")]),
    ("bailiwick: 1\nroles: [a]\n", [("2:8", "wrong_type")]),
    ("bailiwick: 1\nroles:\n  a: {inherits: [b]}\n  b: {inherits: [a]}\n", [("3:3", "inheritance_cycle")]),
    ("bailiwick: 1\nroles:\n  a: {inherits: [c]}\n", [("3:18", "unknown_role")]),
    ("bailiwick: 1\nroles: {a: {}}\nroles: {b: {}}\n", [("3:1", "duplicate_key")]),
    ("bailiwick: 1\nroles: {}\n---\na: 1\n", [("3:1", "second_document")]),
    ("bailiwick: 1\nroles: {a: &x {}, b: *x}\n", [("2:12", "anchor"), ("2:22", "alias")]),
    ("bailiwick: 1\nroles: {<<: {a: {}}}\n", [("2:9", "merge_key")]),
    ("bailiwick: !!int 1\n", [("1:12", "tag")]),
    ("bailiwick: 1\nroles: {a: {grants: [}\n", [("2:22", "not_yaml")]),
    ("bailiwick: 1\nretention: 7 years\n", [("2:12", "wrong_type")]),
    ("bailiwick: 1\nagents:\n  a: {roles: []}\n", [("3:6", "missing_key"), ("3:6", "missing_key")]),
    ("bailiwick: 1\nroles:\n  'a b': {}\n", [("3:3", "bad_name")]),
]


@pytest.mark.parametrize(("text", "expected"), BAD_TEXTS)
def test_problems_stand_where_the_mistake_is(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(f"{p.position.line}:{p.position.column}", p.code) for p in problems(text)] == expected


MOUNT = "bailiwick: 1\nmounts:\n  crm:\n    kind: postgres\n    url: %s\n    resources: {%s}\n"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://agent:hunter2@db/crm", "secret_in_clear"),
        ("postgresql://db/crm?user=a&password=hunter2", "secret_in_clear"),
        ("host=db password=hunter2", "secret_in_clear"),
        ("postgresql://agent:$PW@db/crm", "bad_secret"),
        ("${CRM", "bad_secret"),
        ("mysql://db/crm", "bad_url"),
    ],
)
def test_a_secret_in_clear_is_refused_and_not_repeated(url: str, code: str) -> None:
    found = problems(MOUNT % (url, ""))
    assert [problem.code for problem in found] == [code]
    assert "hunter2" not in str(found[0])


@pytest.mark.parametrize(
    "url",
    ["${CRM_URL}", "file:secrets/crm", "vault:kv/crm", "postgresql://agent@db/crm", "postgresql://agent:${PW}@db/crm"],
)
def test_references_to_secrets_and_urls_without_one_are_taken(url: str) -> None:
    assert problems(MOUNT % (url, "")) == ()


@pytest.mark.parametrize(
    ("resources", "code"),
    [
        ("a: {table: t}, b: {table: public.t}", "duplicate_table"),
        ("a: {}", "missing_key"),
        ("a: {table: pg_catalog.pg_class}", "system_table"),
        ("a: {table: x.y.z}", "bad_table"),
        ("a: {table: t, labels: {ssn: restriced}}", "unknown_label"),
        ("a: {table: t, labels: {ssn: Restricted}}", "bad_label"),
        ("a: {table: t, labels: {ssn: [public, restricted]}}", "two_levels"),
        ("a: {table: t, groups: {g: []}}", "empty_list"),
        ("a: {table: t, tenent: x}", "unknown_key"),
    ],
)
def test_mistakes_in_resources_are_reported(resources: str, code: str) -> None:
    assert [problem.code for problem in problems(MOUNT % ("${X}", resources))] == [code]


def test_a_resource_s_name_is_unique_over_all_mounts() -> None:
    second = "  erp: {kind: postgres, url: '${Y}', resources: {a: {table: t}}}\n"
    found = problems(MOUNT % ("${X}", "a: {table: t}") + second)
    assert [(problem.code, problem.position.line) for problem in found] == [("duplicate_resource", 7)]


@pytest.mark.parametrize(
    ("session", "code"),
    [
        ("hours: Mon-Fri 07:00-19:00 Europe/Berlni", "unknown_zone"),
        ("hours: Mon-Fry 07:00-19:00 Europe/Berlin", "bad_hours"),
        ("hours: Mon-Fri 19:00-07:00 Europe/Berlin", "bad_hours"),
        ("hours: Mon-Fri 07:00-19:00 ../../etc/passwd", "unknown_zone"),
        ("hours: Mon-Fri 07:00-19:00 Europe", "unknown_zone"),
        ("hours: always", "wrong_type"),
        ("ttl: 0m", "wrong_type"),
        ("actions: many", "wrong_type"),
        ("cost: 2", "bad_limit"),
    ],
)
def test_mistakes_in_session_rules_are_reported(session: str, code: str) -> None:
    text = f"bailiwick: 1\nagents:\n  a: {{owner: o, purpose: p, roles: [], session: {{{session}}}}}\n"
    assert [problem.code for problem in problems(text)] == [code]


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ("agents: [nobody]", "unknown_agent"),
        ("agents: []", "empty_list"),
        ("agents: [bot], context: {x: int}", "unknown_value"),
        ("agents: [bot], context: {user: string}", "bad_name"),
        ("agents: [bot], context: {x: {type: integer, from: tickets}}", "missing_key"),
        ("agents: [bot], context: {x: {type: integer, from: tickets, by: y}}", "unknown_context"),
        ("agents: [bot], context: {x: {type: integer, from: tickets, by: x}}", "context_cycle"),
        ("agents: [bot], context: {x: {type: integer, from: tikets, by: y}, y: integer}", "unknown_resource"),
        ("agents: [bot], only: {tikets: {}}", "unknown_resource"),
        ("agents: [bot], only: {tickets: {rows: {a: $ticket_id}}}", "unknown_reference"),
        ("agents: [bot], only: {tickets: {verbs: [raed]}}", "unknown_value"),
    ],
)
def test_mistakes_in_tasks_are_reported(task: str, code: str) -> None:
    text = HEAD.replace("tasks:\n", f"tasks:\n  other: {{{task}}}\n") + "roles: {base: {}}\n"
    assert [problem.code for problem in problems(text)] == [code]


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("gates: {delete: {loosen: [tickets:delete]}}", "missing_key"),
        ("gates: {delete: {loosen: [tickets:read], reason: x y}}", "bad_action"),
        ("gates: {restricted: {loosen: [tickets:delete], reason: x y}}", "bad_action"),
        ("gates: {delete: {loosen: [tikets:delete], reason: x y}}", "unknown_resource"),
        ("gates: {money: {loosen: [tickets:delete], reason: x y}}", "bad_action"),
        ("gates: {mine: {on: tickets:update}}", "missing_key"),
        ("elevations: {e: {role: nil, for: [bot], max: 4h, approvers: [a]}}", "unknown_role"),
        ("flows: {f: {after: confidential}}", "missing_key"),
        ("flows: {f: {after: confidential, hold: externally}}", "unknown_value"),
        ("review: {unused_after: 90d}", "missing_key"),
        ("review: {every: 20h}", "bad_value"),
        ("review: {every: 90d, restricted: 1h}", "bad_value"),
        ("review: {every: 90d, overdue: forgive}", "unknown_value"),
        ("review: {every: 90d, approvers: []}", "empty_list"),
    ],
)
def test_mistakes_in_rules_are_reported(section: str, code: str) -> None:
    assert [problem.code for problem in problems(HEAD + "roles: {base: {}}\n" + section + "\n")] == [code]


def test_one_mistake_does_not_hide_another() -> None:
    grants = "".join(f"      - {{{grant}}}\n" for grant, codes, _ in BAD_GRANTS if "duplicate" not in codes[0])
    text = HEAD + "roles:\n  base:\n    grants:\n" + grants
    expected = {code for _, codes, _ in BAD_GRANTS for code in codes}
    assert expected <= {problem.code for problem in problems(text)} | {"duplicate_name"}


def test_the_same_grant_twice_in_a_role_is_reported() -> None:
    grant = "      - {allow: tickets:read, reason: x}\n"
    text = HEAD + "roles:\n  base:\n    grants:\n" + grant + grant
    assert [problem.code for problem in problems(text)] == ["duplicate_grant"]


def test_a_problem_reads_as_file_line_column_and_what_was_meant() -> None:
    found = problems(GRANT % "allow: ticket:read, reason: x")
    assert str(found[0]) == (
        "p.yaml:16:17: error: `allow` `ticket:read`: unknown resource `ticket` (did you mean `tickets`?)"
    )
