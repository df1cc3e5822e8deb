"""Mounts of kind `sql`: databases other than PostgreSQL, which agents reach through a tool, not by a wire protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from bailiwick.model.policy import Engine, Mount, Resource, SecretRef
from bailiwick.policy.document import Block, Entry, Leaf
from bailiwick.policy.expect import block, choice, name_is_good, required, text
from bailiwick.policy.problem import Report, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import mount_limits, secret_url

sql_mount_keys = ("kind", "engine", "file", "url", "sources", "resources", "limits")
file_engines: tuple[Engine, ...] = ("sqlite", "duckdb")
"""Those whose database is a file of this machine."""
url_engines: tuple[Engine, ...] = ("mariadb", "mysql", "trino")
engines: Mapping[str, Engine] = {name: name for name in (*file_engines, *url_engines)}
_SOURCES = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
_SCHEMES: Mapping[str, tuple[str, ...]] = {
    "mariadb": ("mariadb", "mysql"),
    "mysql": ("mysql", "mariadb"),
    "trino": ("trino", "https", "http"),
}


def default_schema(found: Block) -> str | None:
    """Return the schema of a bare table name: `main` of a file; every other engine has none. Empty: not even a schema
    is enough, names begin with a catalog."""
    engine = found.get("engine")
    name = engine.value.text if engine and isinstance(engine.value, Leaf) else ""
    return "main" if name in file_engines else "" if name == "trino" else None


def sql_mount(reading: Reading, entry: Entry, found: Block, resources: Mapping[str, Resource]) -> Mount | None:
    """Return one mount, or None when it is not usable."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, sql_mount_keys)
    named = required(report, found, "engine", what)
    engine = choice(report, named.value, f"`engine` of {what}", engines) if named else None
    limits = mount_limits(report, found, what)
    place = None if engine is None else _place(report, found, what, engine)
    sources = _sources(report, found, what, engine)
    if engine is None or place is None:
        return None
    at = entry.position
    return Mount(entry.key, "sql", place, resources, limits=limits, engine=engine, sources=sources, position=at)


def _sources(report: Report, found: Block, what: str, engine: Engine | None) -> Mapping[str, str]:
    """Return the Parquet and CSV files of a DuckDB mount."""
    given = found.get("sources")
    if given is None:
        return {}
    if engine not in ("duckdb", None):
        report.error(given.position, "unknown_key", f"`sources` of {what}: `{engine}` has none", "leave it out")
        return {}
    inner = block(report, given.value, f"`sources` of {what}")
    read: dict[str, str] = {}
    for each in inner.entries.values() if inner else ():
        path = text(report, each.value, f"source {quoted(each.key)} of {what}")
        if not name_is_good(report, each.key, each.position, f"source {quoted(each.key)}") or path is None:
            continue
        outside = PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts
        if outside or not path.endswith(_SOURCES) or not path.isprintable():
            message = f"source {quoted(each.key)} of {what}: {quoted(path)} is no path of Parquet or CSV files"
            advice = "a path from the folder of `file`, without `..`, that ends with " + ", ".join(_SOURCES)
            report.error(each.value.position, "bad_file", message, advice)
            continue
        read[each.key] = path
    return read


def _place(report: Report, found: Block, what: str, engine: Engine) -> SecretRef | None:
    """Return where the database is: `file` or `url`, as the engine has it."""
    key, other = ("file", "url") if engine in file_engines else ("url", "file")
    wrong = found.get(other)
    if wrong is not None:
        report.error(wrong.position, "unknown_key", f"`{other}` of {what}: `{engine}` has none", f"write `{key}: …`")
        return None
    given = required(report, found, key, what)
    if given is None:
        return None
    if key == "url":
        return secret_url(report, given.value, f"`url` of {what}", _SCHEMES[engine])
    path = text(report, given.value, f"`file` of {what}")
    if path is None:
        return None
    if path.startswith(("file:", "vault:")) or path in (":memory:", ""):
        advice = "write a path, `${NAME}` in it is read from the environment"
        report.error(given.value.position, "bad_file", f"`file` of {what}: {quoted(path)} is not a path", advice)
        return None
    return SecretRef(path)
