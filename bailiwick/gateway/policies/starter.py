"""The files that `bailiwick init` writes: a policy that grants nothing, and settings that all stand at their default.

Text from values; reads no file and no database. Labels are guesses from names and types: people decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from bailiwick.gateway.settings import keys
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.policy.suspects import suspect

TableName = tuple[str, str]

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = re.compile(r"[A-Za-z][a-z0-9]*|[A-Z]+")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "any"})
_FREE_TEXT = frozenset(
    {"body", "comment", "comments", "content", "description", "feedback", "memo", "message", "note", "notes"}
    | {"question", "remark", "remarks", "reply", "review", "subject", "summary", "text", "title"}
)
_PEOPLE = frozenset(
    {"account", "agent", "author", "client", "contact", "customer", "employee", "lead", "member", "owner", "patient"}
    | {"people", "person", "student", "subscriber", "user"}
)
_CARDS = frozenset({"card", "cardnumber", "creditcard"})

_HEAD = """\
# A starter policy for `{mount}`, written by `bailiwick init`. It grants nothing yet: what no grant allows is denied.
#
# 1. Look through the resources. What you remove does not exist for agents. The labels are guesses from names:
#    correct them. Levels: public < internal < confidential < restricted; a column without one is internal.
# 2. Write a role, an agent and a task, as below.
# 3. bailiwick policy check, then bailiwick policy lint, then bailiwick serve.

bailiwick: 1

mounts:
  {mount}:
{place}
    resources:
"""

_TAIL = """
# What agents may do. An example, to be uncommented and narrowed:
#
# roles:
#   support:
#     grants:
#       - allow: {resource}:read
#         reason: answers questions about one record
#         fields: [{fields}]
#         rows: {{{key}: ${key}}}           # $name is a value that the session was opened with
#
# agents:
#   support-bot:
#     owner: support-platform           # the person or team that answers for it
#     purpose: answers tier 1 questions
#     roles: [support]
#     session: {{ttl: 30m, idle: 5m}}
#
# tasks:
#   handle-one:
#     agents: [support-bot]
#     context: {{{key}: {type}}}
#     only: {{{resource}: {{}}}}
"""

_SETTINGS_HEAD = """\
# Where and how the gateway runs. Every key stands here at its default; uncomment what you change.
# Each has an environment variable, which wins: postgres.port is BAILIWICK_POSTGRES_PORT.

"""


def place_by_url(variable: str) -> Mapping[str, str]:
    """Return the keys of a mount whose url stands in a variable."""
    return {"kind": "postgres", "url": f"${{{variable}}}"}


def place_of_file(engine: str, file: str) -> Mapping[str, str]:
    """Return the keys of a mount over a file, which is looked for from the policy's folder."""
    return {"kind": "sql", "engine": engine, "file": scalar(file)}


def starter_policy(mount: str, place: Mapping[str, str], tables: Mapping[TableName, LockedTable]) -> str:
    """Return the text of a policy that maps every table to a resource, labels columns by guess and grants nothing.

    Tables and columns whose names no policy can say (unprintable characters) are left out.
    """
    tables = {key: table for key, table in tables.items() if all(_sayable(part) for part in key)}
    names = resource_names(tables)
    ordered = [tables[key] for key in sorted(tables)]
    parts = ["\n".join(_resource(names[table.schema, table.name], table)) for table in ordered]
    head = _HEAD.format(mount=mount, place="\n".join(f"    {key}: {value}" for key, value in place.items()))
    if not parts:
        return head.rstrip("\n") + " {}\n"
    return head + "\n\n".join(parts) + "\n" + _example(names, ordered)


def starter_settings() -> str:
    """Return the text of a gateway.yaml in which every key stands as a comment, at its default."""
    lines: list[str] = []
    section = ""
    for name, key in keys.items():
        head, _, rest = name.partition(".")
        if rest and head != section:
            lines.append(f"# {head}:")
        section = head if rest else ""
        lines.append(f"# {'  ' if rest else ''}{rest or head}: {key.default}".ljust(34) + f"  # {key.summary}")
    return _SETTINGS_HEAD + "\n".join(lines) + "\n"


def guessed_labels(table: LockedTable, column: LockedColumn) -> tuple[str, ...]:
    """Return the labels that a column's name and type suggest."""
    words = frozenset(word.lower() for word in _WORDS.findall(column.name))
    suspicion = suspect(column.name)
    if suspicion == "secret" or words & _CARDS:
        return ("restricted",)
    if suspicion == "personal" or (column.name.lower() == "name" and _is_about_people(table)):
        return ("confidential", "pii")
    if words & _FREE_TEXT and column.type.startswith(("text", "character varying")):
        return ("untrusted",)
    return ()


def resource_names(tables: Mapping[TableName, LockedTable]) -> dict[TableName, str]:
    """Return a unique resource name for each table: its own, with the schema in front where two would be the same."""
    names: dict[TableName, str] = {}
    for schema, name in sorted(tables, key=lambda key: (key[0] != "public", key)):
        wanted = _name(name)
        if wanted in names.values():
            wanted = _name(f"{schema}_{name}")
        number = 2
        while wanted in names.values():
            wanted = _name(f"{schema}_{name}"[:56] + f"_{number}")
            number += 1
        names[schema, name] = wanted
    return names


def _is_about_people(table: LockedTable) -> bool:
    words = [word.lower() for word in _WORDS.findall(table.name)]
    return any(word in _PEOPLE or word.removesuffix("s") in _PEOPLE for word in words)


def _name(text: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:63]
    return cleaned if re.match(r"[A-Za-z_]", cleaned) else f"t_{cleaned}"[:63]


def _resource(name: str, table: LockedTable) -> Iterator[str]:
    yield f"      {scalar(name)}:"
    yield f"        table: {scalar(f'{_identifier(table.schema)}.{_identifier(table.name)}')}"
    columns = [column for column in table.columns if _sayable(column.name)]
    if len(table.key) == 1 and _sayable(table.key[0]):
        yield f"        key: {scalar(table.key[0])}"
    elif table.key and all(_sayable(part) for part in table.key):
        yield f"        key: [{', '.join(scalar(part) for part in table.key)}]"
    tenant = next((column.name for column in columns if column.name.lower() == "tenant_id"), None)
    if tenant is not None:
        yield f"        tenant: {scalar(tenant)}  # a guess: always AND {tenant} = the session's tenant"
    labelled = [(column.name, guessed_labels(table, column)) for column in columns]
    plain = [column for column, labels in labelled if not labels]
    if any(labels for _, labels in labelled):
        yield "        labels:"
        for column, labels in labelled:
            if labels:
                yield f"          {scalar(column)}: {_list(labels)}"
    if plain:
        yield from _comment("without a label: ", plain)


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"[{', '.join(words)}]"


def _comment(lead: str, words: Sequence[str]) -> Iterator[str]:
    """The words as comment lines of at most 110 characters."""
    line = lead
    for place, word in enumerate(words):
        part = " ".join(repr(word)[1:-1].split()) + ("," if place < len(words) - 1 else "")
        if len(line) + len(part) > 98 and line.strip():
            yield f"        # {line.rstrip()}"
            line = ""
        line += part + " "
    yield f"        # {line.rstrip()}"


def _example(names: Mapping[TableName, str], tables: Sequence[LockedTable]) -> str:
    """The commented example, over a table that has a simple key and some columns to show."""
    for table in sorted(tables, key=lambda each: (each.schema != "public", len(each.columns) < 4)):
        key = table.column(table.key[0]) if len(table.key) == 1 else None
        plain = [column.name for column in table.columns if not guessed_labels(table, column)]
        if key is not None and key.name in plain and all(_BARE.fullmatch(word) for word in (key.name, *plain)):
            return _TAIL.format(
                resource=names[table.schema, table.name],
                fields=", ".join(plain[:4]),
                key=key.name,
                type="integer" if key.type in ("integer", "bigint", "smallint") else "string",
            )
    return ""


def _sayable(name: str) -> bool:
    return bool(name.strip()) and name.isprintable() and len(name.encode(errors="replace")) <= 63


def _identifier(name: str) -> str:
    return name if _BARE.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def scalar(text: str) -> str:
    """Return text as a YAML scalar that every parser reads as that text."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*([.-][A-Za-z_][A-Za-z0-9_]*)*", text) and text.lower() not in _RESERVED:
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"
