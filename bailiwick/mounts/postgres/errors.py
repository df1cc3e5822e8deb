"""What a client is told when something goes wrong: our own words, never the server's about data it may not see.

A server's message can quote values ("Key (ssn)=(…)", "invalid input syntax …: \"…\"") and hidden names. So only the
SQLSTATE passes, with a sentence of ours; the few codes that the parse analysis raises, and that name nothing but
what stands in the statement, pass with their primary message. A conflict of keys names the constraint where the agent
can read all of its columns, and knows its name from the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import cast, get_args

from bailiwick.model.decision import Denial, DenialCode
from bailiwick.mounts.postgres.codec import error_fields, error_response, parameter_status
from bailiwick.sql.native.guard import REFUSED
from bailiwick.sql.plan import OUTSIDE

POISON_STATE = "42601"

_passing = frozenset({"42883", "42804", "42803", "42702", "42P10", "42846", "42725", "42P18", "42601"})

_by_code: dict[str, str] = {
    "08P01": "the server could not read a message of this connection",
    "0A000": "the server does not support what the statement asks for",
    "21000": "a sub-query or statement touches more rows than it may",
    "22001": "a value is too long for its type",
    "22003": "a number is out of the range of its type",
    "22004": "a value must not be null here",
    "22007": "a date or time is not well-formed",
    "22008": "a date or time is out of range",
    "22011": "a substring is asked for with a negative length",
    "22012": "division by zero",
    "22021": "text is not valid in its encoding",
    "22023": "an argument has a value that it must not have",
    "2202E": "an array subscript is out of place",
    "22P02": "a value cannot be read as the type it is needed in",
    "22P03": "a binary value cannot be read as its type",
    "23001": "a row is still referred to",
    "23502": "a column that must not be null would be null",
    "23503": "a referenced row does not exist, or a row is still referred to",
    "23505": "a row with the same key exists",
    "23514": "a value breaks a check of its table",
    "23P01": "a row conflicts with another row",
    "25001": "not possible inside a transaction block",
    "25006": "not possible in a read-only transaction",
    "25P01": "there is no transaction in progress",
    "25P02": "current transaction is aborted, commands ignored until end of transaction block",
    "25P03": "the transaction was idle for too long",
    "26000": "there is no prepared statement of that name",
    "34000": "there is no portal of that name",
    "3B001": "there is no savepoint of that name",
    "40001": "the transaction conflicts with another one: try again",
    "40P01": "the transaction waited for another one that waited for it: try again",
    "42P03": "a portal of that name exists",
    "42P05": "a prepared statement of that name exists",
    "42P08": "the type of a parameter is ambiguous",
    "42P02": "there is no such parameter",
    "42501": "the database refuses this to the gateway's own role",
    "53100": "the database's disk is full",
    "53200": "the database is out of memory",
    "53300": "the database has too many connections",
    "54000": "a limit of the database is exceeded",
    "54001": "the statement is too complex for the database",
    "55000": "not possible in the present state",
    "55P03": "a row or table is locked by another transaction",
    "57014": "the statement was cancelled: it was asked for, or it ran for longer than a statement may",
    "57P01": "the database is shutting down",
    "57P02": "the database has crashed",
    "57P03": "the database is starting up or shutting down",
}

_by_class: dict[str, str] = {
    "08": "the connection to the database failed",
    "0A": "the server does not support what the statement asks for",
    "22": "a value does not fit where it is used",
    "23": "a constraint of the table refuses the change",
    "25": "not possible in the present state of the transaction",
    "40": "the transaction was rolled back",
    "42": "the database cannot make sense of the rewritten statement",
    "53": "the database lacks resources",
    "54": "a limit of the database is exceeded",
    "55": "not possible in the present state",
    "57": "the database stopped the statement",
    "58": "the database has a problem with its system",
}

_NOT_IN_VIEW = "44000"
_KEY_TAKEN = "23505"
_taken = frozenset({_KEY_TAKEN, "23P01"})
"""Another row has the key."""

_notices: dict[str, str] = {
    "25P01": "there is no transaction in progress",
    "25001": "there is already a transaction in progress",
}

_denial_states: dict[str, str] = {
    "statement_unparsable": "42601",
    "syntax_not_supported": "0A000",
    "statement_too_large": "54000",
    "limit_exceeded": "53400",
    "limit_unavailable": "58000",
    "bytes_exceeded": "54000",
    "timeout_exceeded": "57014",
    "session_unknown": "28P01",
    "agent_mismatch": "28P01",
    "session_expired": "57P01",
    "session_revoked": "57P01",
    "session_closed": "57P01",
    "session_idle": "57P05",
    "session_suspended": "57P01",
    "agent_suspended": "57P01",
    "mount_closed": "57P03",
    "everything_suspended": "57P03",
    "ledger_unavailable": "58030",
    "backend_unavailable": "08006",
    "protocol_violation": "08P01",
    "internal_error": "XX000",
}

OUT_OF_SCOPE = Denial(
    "row_out_of_scope",
    "a row written would be outside of what this session may write",
    allowed="rows that the write and the read scope admit, before and after the change",
    remedy="ask for a grant whose `rows` and `set` admit the values",
)

_ending = frozenset({"session_unknown", "session_expired", "session_revoked", "session_closed", "session_idle"})


def ends_session(denial: Denial) -> bool:
    """Return whether nothing more can be done in the session after this denial."""
    return denial.code in _ending


def state_of(denial: Denial) -> str:
    """Return the SQLSTATE that a client is shown for a denial."""
    return _denial_states.get(denial.code, "42501")


def own_error(state: str, text: str, *, detail: str = "", hint: str = "", fatal: bool = False) -> bytes:
    """Return an ErrorResponse of the gateway's own."""
    severity = "FATAL" if fatal else "ERROR"
    return error_response(
        (("S", severity), ("V", severity), ("C", state), ("M", text), ("D", detail), ("H", hint)),
    )


def denied(denial: Denial, record: str, *, fatal: bool = False, state: str = "") -> bytes:
    """Return the ErrorResponse for a denial; `record` is the id under which the ledger has it, if it has."""
    lines: list[str] = []
    if denial.allowed:
        lines.append(f"allowed: {denial.allowed}")
    wait = "" if denial.retry_after is None else f", retry after {denial.retry_after} s"
    lines.append(f"code {denial.code}{wait}" + (f", decision {record}" if record else ""))
    return own_error(
        state or state_of(denial), denial.message, detail="\n".join(lines), hint=denial.remedy, fatal=fatal
    )


_told = re.compile(
    r"(?:allowed: (?P<allowed>.*)\n)?"
    r"code (?P<code>\w+)(?:, retry after (?P<wait>\d+) s)?(?:, decision (?P<record>.*))?",
    re.DOTALL,
)


def read_denied(fields: Mapping[str, str]) -> tuple[Denial, str] | None:
    """Return the denial and the record that an error of `denied` tells; None for any other error."""
    found = _told.fullmatch(fields.get("D", ""))
    if found is None or found["code"] not in get_args(DenialCode):
        return None
    code = cast("DenialCode", found["code"])
    wait = None if found["wait"] is None else int(found["wait"])
    denial = Denial(code, fields.get("M", ""), found["allowed"] or "", fields.get("H", ""), retry_after=wait)
    return denial, found["record"] or ""


def server_error(raw: bytes, parsing: bool, keys: Collection[tuple[str, str, str]] = ()) -> tuple[str, bool, bytes]:
    """Return (SQLSTATE, whether it ends the connection, what the client is sent) for a server's ErrorResponse.

    `parsing` says that it answers a Parse: then nothing has run yet. The same codes raised later can hold values
    (`to_tsquery` has a syntax error of its own). `keys`: as of a `Plan`.
    """
    fields = error_fields(raw)
    state = _well_formed(fields.get("C", ""))
    fatal = fields.get("V", fields.get("S", "")) in ("FATAL", "PANIC")
    key = (fields.get("s", ""), fields.get("t", ""), fields.get("n", ""))
    if state == _KEY_TAKEN and not fatal and key in keys:
        return state, fatal, _key_taken(key)
    text = fields.get("M", "") if parsing and state in _passing else ""
    return state, fatal, own_error(state, text or _sentence(state), fatal=fatal)


def _key_taken(key: tuple[str, str, str]) -> bytes:
    schema, table, name = key
    text = f'{_sentence(_KEY_TAKEN)} (constraint "{name}")'
    fields = (("S", "ERROR"), ("V", "ERROR"), ("C", _KEY_TAKEN), ("M", text))
    return error_response((*fields, ("s", schema), ("t", table), ("n", name)))


def error_text(raw: bytes) -> tuple[str, str]:
    """Return the SQLSTATE of a server's ErrorResponse and a sentence of ours about it."""
    state = _well_formed(error_fields(raw).get("C", ""))
    return state, _sentence(state)


def says_outside(raw: bytes, *, blind: bool) -> bool:
    """Whether a write failed by the check that is part of it (`plan.OUTSIDE`) or that the native depth makes, or, where
    `plan.blind`, could have."""
    fields = error_fields(raw)
    text, state = fields.get("M", ""), fields.get("C", "")
    return OUTSIDE in text or REFUSED in text or state == _NOT_IN_VIEW or (blind and state in _taken)


def server_notice(raw: bytes) -> bytes:
    """Return what the client is sent for a server's notice: mostly nothing."""
    state = error_fields(raw).get("C", "")
    text = _notices.get(state)
    if text is None:
        return b""
    return error_response((("S", "WARNING"), ("V", "WARNING"), ("C", state), ("M", text)), b"N")


def changed_notice(text: str) -> bytes:
    """Return what a client is told whose statement a reviewer has changed before it was run."""
    message = f"a reviewer changed this statement before approving it; this was run: {text}"
    return error_response((("S", "NOTICE"), ("V", "NOTICE"), ("C", "00000"), ("M", message)), b"N")


def observed_notice() -> bytes:
    """Return what a client of an observed session is told first: a setting of its connection, and a notice."""
    fields = (("S", "NOTICE"), ("V", "NOTICE"), ("C", "00000"), ("M", _OBSERVED))
    return parameter_status("bailiwick.observed", "on") + error_response(fields, b"N")


_OBSERVED = "this session is observed: what it uses is recorded, and what the policy does not deny is let through"


def _sentence(state: str) -> str:
    return _by_code.get(state) or _by_class.get(state[:2]) or "the database failed to run the statement"


def _well_formed(state: str) -> str:
    return state if len(state) == 5 and state.isascii() and state.isalnum() else "XX000"
