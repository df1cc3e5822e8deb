"""The schema of a ledger in PostgreSQL: its tables, who may do what with them, and the statements that fill them.

A log has a schema of its own, with the same tables as the file of SQLite (`ledger_schema`). What is durable and not
indexed yet stands among the records, with the code that vouches for each commit; views show it as the index will.
"""

from __future__ import annotations

from bailiwick.ledger.facts import RARE, UNUSUAL, Facts

FORMAT = 1
FROZEN = ("pruned", "log", "records", "subtrees", "checkpoints", "facts", "accesses")
_read = ", ".join(f'coalesce(x."{name}", \'\') COLLATE "C" AS "{name}"' for name in Facts._fields)
_members = ", ".join(f'"{name}" text' for name in Facts._fields)


def _facts_of(records: str) -> str:
    """Return the query for the facts of records, read from their bytes."""
    document = "json_to_record(convert_from(r.body, 'UTF8')::json)"
    return f"SELECT r.seq, {_read} FROM {records} r, {document} AS x ({_members})"  # noqa: S608 -- names of our own


def _accesses_of(records: str) -> str:
    """Return the query for their actions."""
    said = "convert_from(r.body, 'UTF8')::json -> 'actions'"
    listed = f"json_array_elements_text(CASE json_typeof({said}) WHEN 'array' THEN {said} ELSE '[]' END)"
    return f'SELECT DISTINCT a.value COLLATE "C" AS action, r.seq FROM {records} r, {listed} AS a (value)'  # noqa: S608 -- likewise


def setup(log: str) -> str:
    """Return the script that makes a log's schema. Whoever runs it owns it."""
    s = f'"{log}"'
    text = 'text COLLATE "C" NOT NULL'
    facts = ", ".join(f'"{name}" {text}' for name in Facts._fields)
    indexed = ("agent", "user", "session", "task", "mount")
    return f"""
CREATE SCHEMA IF NOT EXISTS {s};
CREATE TABLE {s}.log (one integer PRIMARY KEY CHECK (one = 1), format integer NOT NULL, origin text NOT NULL);
CREATE TABLE {s}.records (
  seq bigint PRIMARY KEY, hash bytea NOT NULL CHECK (length(hash) = 32), body bytea NOT NULL, code bytea
);
CREATE TABLE {s}.subtrees (
  level integer, idx bigint, root bytea NOT NULL CHECK (length(root) = 32), PRIMARY KEY (level, idx)
);
CREATE TABLE {s}.checkpoints (size bigint PRIMARY KEY, at text NOT NULL, note text NOT NULL);
CREATE TABLE {s}.head (one integer PRIMARY KEY CHECK (one = 1), note text NOT NULL);
CREATE TABLE {s}.facts (seq bigint PRIMARY KEY, {facts});
CREATE TABLE {s}.accesses (action {text}, seq bigint, PRIMARY KEY (action, seq));
CREATE TABLE {s}.pruned (first bigint PRIMARY KEY, last bigint NOT NULL CHECK (last >= first));
CREATE INDEX facts_by_id ON {s}.facts (id);
CREATE INDEX facts_by_at ON {s}.facts (at);
{"".join(f'CREATE INDEX facts_by_{name} ON {s}.facts ("{name}", seq);' for name in indexed)}
CREATE INDEX facts_by_kind ON {s}.facts (kind, seq) WHERE {RARE};
CREATE INDEX facts_by_decision ON {s}.facts (decision, seq) WHERE {UNUSUAL};
CREATE INDEX facts_by_code ON {s}.facts (code, seq) WHERE code <> '';
CREATE INDEX facts_by_refers ON {s}.facts (refers) WHERE refers <> '';
CREATE VIEW {s}.late_records AS
  SELECT seq, body FROM {s}.records WHERE seq > (SELECT coalesce(max(seq), -1) FROM {s}.facts);
CREATE VIEW {s}.late_facts AS {_facts_of(s + ".late_records")};
CREATE VIEW {s}.late_accesses AS {_accesses_of(s + ".late_records")};
{_guards(s)}
"""  # noqa: S608 -- a checked name


def _guards(s: str) -> str:
    """Return what refuses every change but the pruning of content, whoever asks for it."""
    triggers = "".join(
        f"CREATE TRIGGER guard BEFORE UPDATE OR DELETE ON {s}.{table} FOR EACH ROW EXECUTE FUNCTION {s}.guard();\n"
        f"CREATE TRIGGER guard_all BEFORE TRUNCATE ON {s}.{table} EXECUTE FUNCTION {s}.guard();\n"
        for table in FROZEN
    )
    return f"""
CREATE FUNCTION {s}.guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'records' THEN
    IF NEW.seq = OLD.seq AND NEW.hash = OLD.hash AND NEW.body = '' AND EXISTS
      (SELECT FROM {s}.pruned WHERE first <= OLD.seq AND last >= OLD.seq) THEN RETURN NEW; END IF;
  ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME IN ('facts', 'accesses') THEN
    IF EXISTS (SELECT FROM {s}.pruned WHERE first <= OLD.seq AND last >= OLD.seq) THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION {s}.prune(low bigint, high bigint) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO {s}.pruned (first, last) VALUES (low, high) ON CONFLICT DO NOTHING;
  DELETE FROM {s}.accesses WHERE seq BETWEEN low AND high AND action IN (
    SELECT a.value FROM {s}.records r, json_array_elements_text(convert_from(r.body, 'UTF8')::json -> 'actions')
      AS a (value) WHERE r.seq BETWEEN low AND high AND r.body <> '');
  DELETE FROM {s}.facts WHERE seq BETWEEN low AND high;
  UPDATE {s}.records SET body = '' WHERE seq BETWEEN low AND high AND body <> '';
END $$;
REVOKE ALL ON FUNCTION {s}.prune(bigint, bigint) FROM PUBLIC;
{triggers}"""  # noqa: S608 -- a checked name


def grants(log: str, writer: str = "", reader: str = "") -> str:
    """Return the script that lets one role write a log by adding to it, and another read it. By the schema's owner."""
    s = f'"{log}"'
    made: list[str] = []
    for role in filter(None, (writer, reader)):
        name = '"' + role.replace('"', '""') + '"'
        made += [f"GRANT USAGE ON SCHEMA {s} TO {name};", f"GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO {name};"]
        if role == writer:
            tables = ", ".join(f"{s}.{table}" for table in ("log", "records", "subtrees", "checkpoints", "head"))
            made += [
                f"GRANT INSERT ON {tables}, {s}.facts, {s}.accesses TO {name};",
                f"GRANT UPDATE (note) ON {s}.head TO {name};",
                f"GRANT EXECUTE ON FUNCTION {s}.prune(bigint, bigint) TO {name};",
            ]
    return "\n".join(made) + "\n"


def insert_facts(log: str) -> str:
    """Return the statement that indexes records from one number ($1) to another ($2)."""
    found = _facts_of(f'"{log}".records')
    return f'INSERT INTO "{log}".facts {found} WHERE r.seq BETWEEN $1 AND $2'


def insert_accesses(log: str) -> str:
    """Return the statement that indexes their actions."""
    found = _accesses_of(f'"{log}".records')
    return f'INSERT INTO "{log}".accesses {found} WHERE r.seq BETWEEN $1 AND $2'
