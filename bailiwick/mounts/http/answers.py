"""Answers of APIs as agents get them: headers that are passed on, bodies filtered by the view, denials as problems.

No I/O. A denial is RFC 9457's problem+json, with the code, what would be allowed, the remedy and the decision's id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from bailiwick.decide.results import View, count, show
from bailiwick.gateway.http_client import Answer
from bailiwick.match.evaluate import Resolve
from bailiwick.match.masks import Digest
from bailiwick.model.decision import Denial, DenialCode
from bailiwick.mounts.mcp.message import Json, read_faithfully, write

_PASSED = frozenset(
    {b"content-type", b"content-language", b"content-disposition", b"etag", b"last-modified", b"retry-after"}
    | {b"allow", b"link", b"ratelimit", b"ratelimit-policy", b"ratelimit-limit", b"ratelimit-remaining"}
    | {b"ratelimit-reset", b"x-ratelimit-limit", b"x-ratelimit-remaining", b"x-ratelimit-reset", b"x-request-id"}
    | {b"x-total-count", b"x-next-page", b"deprecation", b"sunset", b"preference-applied"}
)
"""Headers of an answer that is shown as it is; of one that is filtered only its type is told."""
_STATUS: Mapping[DenialCode, int] = {
    "resource_unknown": 404,
    "protocol_violation": 400,
    "session_unknown": 401,
    "session_expired": 401,
    "session_revoked": 401,
    "session_closed": 401,
    "session_idle": 401,
    "agent_mismatch": 401,
    "mount_closed": 503,
    "everything_suspended": 503,
    "limit_exceeded": 429,
    "limit_unavailable": 503,
    "ledger_unavailable": 503,
    "backend_unavailable": 502,
    "message_not_delivered": 422,
    "message_unknown": 502,
    "timeout_exceeded": 504,
    "result_withheld": 502,
    "internal_error": 500,
}
Headers = list[tuple[bytes, bytes]]
_PROBLEM = (b"content-type", b"application/problem+json")
_SAFE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer as it is sent, or the head of one whose body follows."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Sight:
    """The session's view on one answer, and what is needed to look."""

    view: View
    resolve: Resolve
    now: datetime
    digest: Digest


def status_of(denial: Denial) -> int:
    """Return the status that a denial has."""
    return _STATUS.get(denial.code, 403)


def problem(denial: Denial, record: str = "", status: int = 0, more: Headers | None = None) -> Shown:
    """Return a denial as an answer."""
    known = status or status_of(denial)
    told = {"allowed": denial.allowed, "remedy": denial.remedy, "action": denial.action, "decision": record}
    body: dict[str, Json] = {
        "type": f"urn:bailiwick:denial:{denial.code}",
        "title": "denied",
        "status": known,
        "detail": denial.message,
        "code": denial.code,
        **{key: value for key, value in told.items() if value},
    }
    extra: Headers = [*(more or [])]
    if denial.retry_after is not None:
        body["retry_after"] = denial.retry_after
        extra.append((b"retry-after", b"%d" % denial.retry_after))
    if known == 401:
        extra.append((b"www-authenticate", b'Bearer realm="bailiwick"'))
    data = write(body)
    return Shown(known, [_PROBLEM, (b"content-length", b"%d" % len(data)), *_SAFE, *extra], data)


def media_type(answer: Answer) -> str:
    """Return the media type of an answer, in small letters."""
    found = answer.header(b"content-type")
    return "" if found is None else found.decode("latin-1").partition(";")[0].strip().lower()


def is_json(kind: str) -> bool:
    """Return whether a media type is JSON."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def whole_head(answer: Answer, rewritten: Callable[[bytes], bytes | None]) -> Headers:
    """Return the headers of an answer that is shown as it is; places in it are those of the mount, or left out."""
    found: Headers = [*_SAFE]
    for name, value in answer.headers:
        if name in (b"location", b"content-location"):
            target = rewritten(value)
            if target is not None:
                found.append((name, target))
        elif name in _PASSED and not (name == b"link" and b"<" in value and b"://" in value):
            found.append((name, value))
    return found


def filtered(sight: Sight, status: int, kind: str, data: bytes) -> tuple[Shown, int]:
    """Return what is shown of a whole answer of which something is hidden, and how many items that is."""
    if status >= 400 or not data:
        if status < 400:
            return Shown(status, [(b"content-length", b"0"), *_SAFE] if status != 204 else [*_SAFE]), 0
        title = f"the API answered {status}; what it said is not shown in this session"
        body = write({"type": "about:blank", "title": title, "status": status})
        return Shown(status, [_PROBLEM, (b"content-length", b"%d" % len(body)), *_SAFE], body), 0
    found = _data(kind, data)
    shown = None if found is _nothing else show(sight.view, found, sight.resolve, sight.now, sight.digest)
    if shown is None or not shown.found:
        title = "nothing of the result is in this session's scope"
        body = write({"type": "about:blank", "title": title, "status": 404})
        return Shown(404, [_PROBLEM, (b"content-length", b"%d" % len(body)), *_SAFE], body), 0
    body = write(shown.value)
    head: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *_SAFE]
    return Shown(status, head, body), shown.items


def items_in(view: View, kind: str, data: bytes) -> int:
    """Return how many items an answer has that is shown as it is."""
    found = _data(kind, data)
    return 1 if found is _nothing else count(view, found)


def json_of(kind: str, data: bytes) -> Json:
    """Return the JSON that a body is, None when it is none."""
    found = _data(kind, data)
    return None if found is _nothing else found


def json_shown(shown: Shown) -> Json:
    """Return the JSON that an answer is as it is shown, None when it is none."""
    kinds = [value for name, value in shown.headers if name == b"content-type"]
    return json_of(kinds[0].decode("latin-1").partition(";")[0].strip(), shown.body) if len(kinds) == 1 else None


_nothing = object()


def _data(kind: str, data: bytes) -> Json:
    if not is_json(kind):
        return _nothing
    try:
        return read_faithfully(data)
    except ValueError:
        return _nothing
