"""The SQLite file of a ledger: its tables, and the statements that writer and readers share.

`records`, `subtrees`, `checkpoints` and `head` (a signed note) are the evidence; `facts` and `accesses` are an index
over it. All are written together in one transaction, with what the journal gathered meanwhile.
"""

from __future__ import annotations

from bailiwick.ledger.facts import RARE, UNUSUAL, Facts

APPLICATION_ID = 0x42414C45
"""Marks the file as a ledger (`BALE`)."""
FORMAT = 6

SCHEMA = f"""
CREATE TABLE log (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  origin TEXT NOT NULL
) STRICT;
CREATE TABLE records (
  seq INTEGER PRIMARY KEY,
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  body BLOB NOT NULL
) STRICT;
CREATE TABLE subtrees (
  level INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  root BLOB NOT NULL CHECK (length(root) = 32),
  PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  at TEXT NOT NULL,
  note TEXT NOT NULL
) STRICT;
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  note TEXT NOT NULL
) STRICT;
CREATE TABLE facts (
  seq INTEGER PRIMARY KEY,
  {", ".join(f'"{name}" TEXT NOT NULL' for name in Facts._fields)}
) STRICT;
CREATE TABLE accesses (
  action TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (action, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE pruned (
  first INTEGER PRIMARY KEY,
  last INTEGER NOT NULL CHECK (last >= first)
) STRICT;
CREATE INDEX facts_by_id ON facts (id);
CREATE INDEX facts_by_at ON facts (at);
CREATE INDEX facts_by_agent ON facts (agent);
CREATE INDEX facts_by_user ON facts ("user");
CREATE INDEX facts_by_session ON facts (session);
CREATE INDEX facts_by_task ON facts (task);
CREATE INDEX facts_by_mount ON facts (mount);
CREATE INDEX facts_by_kind ON facts (kind) WHERE {RARE};
CREATE INDEX facts_by_decision ON facts (decision) WHERE {UNUSUAL};
CREATE INDEX facts_by_code ON facts (code) WHERE code <> '';
CREATE INDEX facts_by_refers ON facts (refers) WHERE refers <> '';
"""

PRUNED = SCHEMA[SCHEMA.index("CREATE TABLE pruned") : SCHEMA.index("CREATE INDEX facts_by_id")]
"""What format 5 lacks."""

_FROZEN = ("pruned", "log", "records", "subtrees", "checkpoints", "facts", "accesses")

_is_pruned = "coalesce((SELECT last FROM pruned WHERE first <= OLD.seq ORDER BY first DESC LIMIT 1), -1) >= OLD.seq"
_ALLOWED = {
    ("records", "UPDATE"): f"NEW.seq = OLD.seq AND NEW.hash = OLD.hash AND length(NEW.body) = 0 AND {_is_pruned}",
    ("facts", "DELETE"): _is_pruned,
    ("accesses", "DELETE"): _is_pruned,
}
"""Of a record that `pruned` names, its content may go; nothing else may, and its hash never."""

TRIGGERS = "".join(
    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"WHEN NOT ({_ALLOWED.get((table, verb), '0')}) "
    f"BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;\n"
    for table in _FROZEN
    for verb in ("UPDATE", "DELETE")
)

UPGRADE = (
    PRUNED
    + "".join(f"DROP TRIGGER IF EXISTS {table}_no_{verb};" for table in _FROZEN for verb in ("update", "delete"))
    + TRIGGERS
)
"""From format 5."""

_members = ", ".join(f"coalesce(j.doc ->> '$.{name}', '')" for name in Facts._fields)


def select_facts(records: str) -> str:
    """Return the query for the facts of the records of a table from one number to another, read from their bytes."""
    return f"SELECT j.seq, {_members} FROM {_documents(records)}"  # noqa: S608 -- names of our own


def select_accesses(records: str) -> str:
    """Return the query for their actions."""
    documents = _documents(records)
    return f"SELECT DISTINCT a.value, j.seq FROM {documents}, json_each(j.doc, '$.actions') a"  # noqa: S608 -- likewise


def _documents(records: str) -> str:
    text = "CAST(body AS TEXT)"
    return f"(SELECT seq, {text} AS doc FROM {records} WHERE seq BETWEEN ? AND ? AND json_valid({text})) j"  # noqa: S608 -- likewise
