"""From the values of one slot to a matcher: as narrow as the evidence carries. docs/learn.md has the arithmetic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import isfinite

from bailiwick.learn.draft import Confidence, Generalisation
from bailiwick.learn.estimates import tail
from bailiwick.learn.facts import Slot
from bailiwick.learn.settled import Settled, is_destroying, is_reading
from bailiwick.model.matcher import Anything, Bound, Equal, Glob, Matcher, OneOf, Prefix
from bailiwick.model.value import Ref, Scalar
from bailiwick.policy.suspects import suspect

CLOSED = 0.05
"""A list is closed when at most this chance of a new value is left (upper bound)."""
OPEN = 0.20
"""Values are open when at least this chance of a new one is sure (lower bound)."""
_BETWEEN = 0.10
_FEW = 10
"""Of fewer values than this the other tools' arguments of that name, and where they came from, are asked, too."""
_MOST_LISTED = 40
_LEAST_SHAPED = 20
_EXCEEDED = 0.002
"""Of the values to come, so many may lie beyond a range."""
_WORDS = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]*|\d+")
_NAMING = frozenset({"id", "ids", "key", "number", "no", "nr", "ref", "reference", "uuid", "index"})
_CONTENT = frozenset(
    {"text", "body", "subject", "title", "content", "contents", "description", "message", "note", "notes", "comment"}
    | {
        "comments",
        "reason",
        "summary",
        "query",
        "question",
        "answer",
        "prompt",
        "caption",
        "location",
        "street",
        "city",
    }
    | {"details", "instructions", "remark", "remarks", "headline", "keywords"}
)
"""Last words of names of what people write as they like."""
_RECEIVING = frozenset(
    {"to", "cc", "bcc", "recipient", "recipients", "receiver", "receivers", "payee", "beneficiary", "participants"}
    | {"participant", "attendees", "invitees", "user", "users", "member", "members", "email", "emails", "address"}
    | {"addresses", "account", "iban", "url", "urls", "uri", "link", "webhook", "endpoint", "host", "channel"}
    | {"destination", "target", "phone"}
)
"""Last words of names of arguments by which data or money leaves: of few values the list is kept, and asked about."""
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?$|\d{1,2}:\d{2}(:\d{2})?$")
_WILD = frozenset("*?[]{}\\")


@dataclass(frozen=True, slots=True)
class Judged:
    """A matcher for a slot, and why."""

    matcher: Matcher
    generalisation: Generalisation
    confidence: Confidence
    why: str
    new: float = 0.0
    ask: str = ""
    """What people should say about it."""


def judge(settled: Settled, slot: Slot) -> Judged:
    """Return the matcher for a slot of an argument or a written column."""
    bound = by_session(settled, slot)
    if bound is not None:
        return bound
    if set(slot.types) & {"list", "object", "unknown"} or slot.hidden:
        return Judged(Anything(), "any value", "low", "its values were not seen one by one")
    values = [value for value, _ in settled.values(slot)]
    once, drawn, new = settled.unseen(slot)
    point = once / drawn if drawn else 1.0
    listed = None if any(value.value is None for value in values) else _listed(values_in_clear(settled, slot))
    if listed is None:
        return Judged(Anything(), "any value", "low", "its values were seen as digests alone", point)
    if suspect(slot.name) == "secret" and not _receives(slot.name):
        return Judged(Anything(), "any value", "low", "a secret: its values belong into no policy", point)
    texts = _texts(values_in_clear(settled, slot))
    writes = not is_reading(settled.gathered.deeds[slot.deed])
    if new.high <= CLOSED and len(values) <= _MOST_LISTED:
        return _closed(listed, new.high, "high")
    numbers = settled.numbers(slot)
    is_number = bool(numbers) and set(slot.types) <= {"integer", "number", "null"}
    prose = texts is not None and (_is_prose(slot.name, texts) or all(_MOMENT.match(text) for text in texts))
    if "boolean" in slot.types and drawn < 3:
        return _closed(listed, point, "low")
    if is_number and (len(set(numbers)) > 1 or point > _BETWEEN):
        return _of_numbers(slot, numbers, point)
    varied = "" if drawn >= _FEW or slot.place == "set" else _varied(settled, slot, once, drawn)
    if varied and not (writes and (_receives(slot.name) or is_destroying(settled.gathered, slot.deed))):
        return _shaped(texts, drawn, point) or Judged(Anything(), "any value", "low", varied, point)
    if drawn < 3 and writes and slot.place != "set" and not prose:
        ask = f"is `{slot.name}` always {_shown(values_in_clear(settled, slot))}?"
        return _closed(_with_others(settled, slot, listed), point, "low", ask)
    enough = drawn >= (10 if not writes else 5 if slot.place == "set" else 3)
    if enough and new.low < OPEN and point <= _BETWEEN and len(values) <= _MOST_LISTED and not prose:
        ask = f"does `{slot.name}` take other values?"
        if drawn < _FEW:
            listed = _with_others(settled, slot, listed)
        return _closed(listed, new.high, "medium" if drawn >= _FEW else "low", ask)
    return _shaped(texts, drawn, point) or Judged(
        Anything(),
        "any value",
        "high" if new.low >= OPEN and drawn >= 10 else "low",
        _open_words(slot, once, drawn),
        point,
    )


def _varied(settled: Settled, slot: Slot, once: int, drawn: int) -> str:
    """Return what says that values will be new ones, where few were seen; empty: nothing does."""
    if drawn > 1 and once == drawn:
        return f"{drawn} values, all of them different"
    outside = sum(count for origin, count in slot.origins.items() if origin.split(" ")[0] in ("prompt", "result"))
    if 2 * outside > slot.calls:
        return f"{outside} of {slot.calls} came from the person's words or an earlier result"
    if words_of(slot.name)[-1:] and words_of(slot.name)[-1] in _NAMING:
        return "it names one thing of many"
    together = settled.of_the_name(slot)
    if together.drawn > max(2, drawn) and together.new.low >= OPEN:
        return f"`{slot.name}` of all tools together is ever new"
    return ""


def _receives(name: str) -> bool:
    """Return whether an argument says by its name to whom or where something goes."""
    return bool(_RECEIVING & frozenset(words_of(name)[-1:]))


def _with_others(settled: Settled, slot: Slot, listed: Matcher) -> Matcher:
    """Return a list of few values with those that other tools of the mount took for an argument of that name."""
    own = values_in_clear(settled, slot)
    others = [value for value in settled.of_the_name(slot).values if value is not None and value not in own]
    if not others or len(own) + len(others) > _MOST_LISTED or {*map(type, others)} != {*map(type, own)}:
        return listed
    return _listed(in_order([*own, *others])) or listed


def _is_prose(name: str, texts: Sequence[str]) -> bool:
    """Return whether texts are written as people like: by their name, or because there are three words in one."""
    last = words_of(name)[-1:]
    return bool(last and last[0] in _CONTENT) or any(len(each.split()) > 2 for each in texts)


def by_session(settled: Settled, slot: Slot) -> Judged | None:
    """Return the session value that a slot always was, if that is no coincidence."""
    found = [(name, _different(settled, name)) for name in settled.names(slot)]
    good = [
        (name, different)
        for name, different in found
        if different > 1 and _can_be_named(name) and _coincidence(slot, name, different) <= _chance(name, slot.name)
    ]
    if not good:
        return None
    name, different = min(good, key=lambda pair: (not _alike(pair[0], slot.name), -pair[1], pair[0]))
    confidence: Confidence = "high" if different >= 10 else "medium" if different >= 3 else "low"
    why = f"always `${name}`, in {slot.aligned[name]} uses with {different} different values"
    return Judged(Equal(Ref(tuple(name.split(".")))), "the session's value", confidence, why)


def _coincidence(slot: Slot, name: str, different: int) -> float:
    """Return the chance that a slot was the session's value each time if it were one of its values at random."""
    return different ** -float(min(slot.aligned[name], 20))


def _chance(name: str, column: str) -> float:
    """Return which chance of a coincidence is small enough: more where both are called alike."""
    return 0.2 if _alike(name, column) else 0.01


def constant_rows(settled: Settled, slot: Slot) -> Judged | None:
    """Return the value or list that a filter's column always had in the statements themselves."""
    if slot.missed or slot.hidden or slot.beyond or slot.aligned.keys() & set(settled.names(slot)):
        return None
    _, _, new = settled.unseen(slot)
    values = values_in_clear(settled, slot)
    listed = _listed(values)
    if listed is None or new.high > CLOSED or not 0 < len(values) <= 10:
        return None
    return _closed(listed, new.high, "high")


def values_in_clear(settled: Settled, slot: Slot) -> list[Scalar]:
    """Return the values of a slot that were seen in clear, in order."""
    return in_order([value.value for value, _ in settled.values(slot) if value.value is not None])


def in_order(values: Sequence[Scalar]) -> list[Scalar]:
    """Return values in the order in which a list has them."""
    return sorted(values, key=lambda value: (float(value) if isinstance(value, int | Decimal) else 0.0, str(value)))


def _different(settled: Settled, name: str) -> int:
    found: set[object] = set()
    for each in settled.sessions:
        seen = settled.gathered.sessions[each].values.get(name)
        if seen is not None:
            found.add(seen.value if seen.value is not None else seen.digest)
            if len(found) >= 1000:
                break
    return len(found)


def words_of(name: str) -> list[str]:
    """Return the words of a name: `customerId`, `customer_id` and `body.customer-id` end in the same ones."""
    return [word.lower() for word in _WORDS.findall(name)]


def _alike(name: str, column: str) -> bool:
    """Return whether a session value and a column or argument are called alike: one's words are the other's last."""
    mine, theirs = words_of(name.removeprefix("user.")), words_of(column)
    short = min(len(mine), len(theirs))
    return short > 0 and (mine[-short:] == theirs[-short:] or (mine == ["tenant"] and theirs[:1] == ["tenant"]))


def _can_be_named(name: str) -> bool:
    head, _, rest = name.partition(".")
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", rest if head == "user" else name) is not None


def _listed(values: Sequence[Scalar]) -> Matcher | None:
    """Return a matcher of exactly these; None where one cannot be written: moments are no constants."""
    if not values or not all(isinstance(value, str | int | Decimal) for value in values):
        return None
    if any(
        isinstance(value, str) and (not value.strip() or not value.isprintable() or len(value) > 200)
        for value in values
    ):
        return Anything()
    return Equal(values[0]) if len(values) == 1 else OneOf(tuple(values))


def _closed(listed: Matcher, new: float, confidence: Confidence, ask: str = "") -> Judged:
    if isinstance(listed, Anything):
        return Judged(listed, "any value", "low", "its values cannot be listed", new)
    kind: Generalisation = "one value" if isinstance(listed, Equal) else "a list"
    count = 1 if isinstance(listed, Equal) else len(listed.operands) if isinstance(listed, OneOf) else 0
    return Judged(listed, kind, confidence, f"{count} different, and the chance of another is {new:.1%}", new, ask)


def _of_numbers(slot: Slot, numbers: list[float], point: float) -> Judged:
    words = words_of(slot.name)
    if words and words[-1] in _NAMING and len(set(numbers)) > 2:
        return Judged(Anything(), "any value", "medium", _open_words(slot, len(numbers), len(numbers)), point)
    low, high = _ends(numbers)
    whole = "number" not in slot.types
    least, most = _rounded(low, ROUND_FLOOR, whole=whole), _rounded(high, ROUND_CEILING, whole=whole)
    confidence: Confidence = "high" if len(numbers) >= 100 else "medium" if len(numbers) >= 20 else "low"
    why = f"from {_plain(numbers[0])} to {_plain(numbers[-1])} in {len(numbers)} different; with head-room"
    if numbers[0] > 0 and low <= 0:
        return Judged(Bound(over=0, max=most), "a range", confidence, why, point)
    return Judged(Bound(min=least, max=most), "a range", confidence, why, point)


def _ends(numbers: list[float]) -> tuple[float, float]:
    """Return the range with head-room: where one in `1 / _EXCEEDED` lies beyond, if the tails are exponential's."""
    first, last = numbers[0], numbers[-1]
    count = len(numbers)
    if count == 1:
        spread = abs(last)
        high, low = last + spread, first - spread
    else:
        # Of few the 90th percentile is hardly known: the largest distance from the median stands in for the tail.
        span = (last - first) / max(1.0, (count - 1) ** 0.5)
        high = max(last + span * (count < 500), tail(numbers, _EXCEEDED))
        mirrored = [-each for each in reversed(numbers)]
        low = min(first - span * (count < 500), -tail(mirrored, _EXCEEDED))
    if first >= 0:
        low = 0.0
    if last <= 0:
        high = 0.0
    return (low, high) if isfinite(low) and isfinite(high) else (first, last)


def _rounded(value: float, way: str, *, whole: bool) -> int | Decimal:
    """Return the value rounded outward to two significant digits, of whole numbers to a whole one."""
    exact = Decimal(repr(value))
    if not exact:
        return 0
    step = Decimal(1).scaleb(exact.adjusted() - 1)
    if whole:
        step = max(step, Decimal(1))
    found = (exact / step).to_integral_value(rounding=way) * step
    return int(found) if found == found.to_integral_value() else Decimal(f"{found.normalize():f}")


def _plain(value: float) -> str:
    return f"{value:g}"


def _texts(values: Sequence[Scalar]) -> list[str] | None:
    texts = [value for value in values if isinstance(value, str)]
    return texts if texts and len(texts) == len(values) else None


def _shaped(texts: list[str] | None, drawn: int, point: float) -> Judged | None:
    """Return the start or the end that all of many texts have in common, where it says where something is."""
    if texts is None or len(texts) < _LEAST_SHAPED or drawn < _LEAST_SHAPED:
        return None
    start = _common_start(texts)
    if start and not any(".." in text for text in texts):
        return Judged(Prefix(start), "a shape", "medium", f"all {len(texts)} start so", point)
    end = _common_start([text[::-1] for text in texts], ends=False)[::-1]
    at = end.rfind("@")
    if at >= 0 and "." in end[at:] and not _WILD & set(end):
        return Judged(Glob("*" + end[at:]), "a shape", "medium", f"all {len(texts)} end so", point)
    return None


def _common_start(texts: list[str], *, ends: bool = True) -> str:
    """Return what all texts start with; with `ends`, up to the last `/` beyond a URL's host."""
    first, last = min(texts), max(texts)
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    found = first[:length]
    if not ends:
        return found
    cut = found[: found.rfind("/") + 1]
    slashes = cut.count("/")
    return cut if slashes >= (3 if "://" in cut else 2) else ""


def _open_words(slot: Slot, once: int, drawn: int) -> str:
    origins = sorted(slot.origins.items(), key=lambda pair: -pair[1])[:2]
    came = "".join(f"; {count} came from {name}" for name, count in origins)
    return f"{once} of {drawn} values were one session's alone{came}"


def _shown(values: Sequence[Scalar]) -> str:
    return ", ".join(f"`{str(value)[:40]}`" for value in values[:3])
