"""Reviews as JSON: how they are stored, shown, and hashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from bailiwick.gateway.wire import Json
from bailiwick.model.review import Decision, Line, LineKind, News, Plain, Review, ReviewState, Run, Since, Use, Verdict

Told = Mapping[str, Json]


def told(review: Review) -> dict[str, Json]:
    """Return everything in a review."""
    return {
        "id": review.id,
        "owner": review.owner,
        "agents": [*review.agents],
        "opened_at": review.opened_at.isoformat(),
        "opened_by": review.opened_by,
        "due_at": review.due_at.isoformat(),
        "since": review.since.isoformat(),
        "policy": review.policy,
        "lines": [_line(each) for each in review.lines],
        "runs": [
            {"agent": each.agent, "days": each.days, "calls": each.calls, "denied": [[*one] for one in each.denied]}
            for each in review.runs
        ],
        "news": [{"what": each.what, "covered": [*each.covered]} for each in review.news],
        "gone": [*review.gone],
        "reach": [*review.reach],
        "state": review.state,
        "decisions": {
            name: {"verdict": each.verdict, "by": each.by, "at": each.at.isoformat(), "note": each.note}
            for name, each in review.decisions.items()
        },
        "closed_at": _moment(review.closed_at),
        "closed_by": review.closed_by,
    }


def _line(line: Line) -> dict[str, Json]:
    return {
        "id": line.id,
        "kind": line.kind,
        "subject": line.subject,
        "agents": [*line.agents],
        "others": [*line.others],
        "text": line.text,
        "content": line.content,
        "uses": line.use.uses,
        "first": _moment(line.use.first),
        "last": _moment(line.use.last),
        "days": line.use.days,
        "people": [[name, count] for name, count in line.use.people],
        "ran": line.ran,
        "recommend": line.recommend,
        "why": line.why,
        "narrow": {key: _plain(value) for key, value in line.narrow.items()},
        "since": line.since,
        "position": line.position,
    }


def _plain(value: Plain) -> Json:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()}


def _moment(found: datetime | None) -> str | None:
    return None if found is None else found.isoformat()


def read(found: Told) -> Review:
    """Return the review that `told` gave. For what this gateway has stored itself."""
    return Review(
        id=str(found["id"]),
        owner=str(found["owner"]),
        agents=_texts(found["agents"]),
        opened_at=_at(found["opened_at"]),
        opened_by=str(found["opened_by"]),
        due_at=_at(found["due_at"]),
        since=_at(found["since"]),
        policy=str(found["policy"]),
        lines=tuple(_read_line(each) for each in _objects(found["lines"])),
        runs=tuple(_read_run(each) for each in _objects(found["runs"])),
        news=tuple(News(str(each["what"]), _texts(each["covered"])) for each in _objects(found["news"])),
        gone=_texts(found["gone"]),
        reach=_texts(found["reach"]),
        state=cast("ReviewState", found["state"]),
        decisions={
            name: Decision(cast("Verdict", each["verdict"]), str(each["by"]), _at(each["at"]), str(each["note"]))
            for name, each in cast("Mapping[str, Told]", found["decisions"]).items()
        },
        closed_at=None if found["closed_at"] is None else _at(found["closed_at"]),
        closed_by=str(found["closed_by"]),
    )


def _read_line(found: Told) -> Line:
    people = tuple((str(name), int(str(count))) for name, count in cast("Sequence[Sequence[Json]]", found["people"]))
    first, last = (None if found[name] is None else _at(found[name]) for name in ("first", "last"))
    return Line(
        id=str(found["id"]),
        kind=cast("LineKind", found["kind"]),
        subject=str(found["subject"]),
        agents=_texts(found["agents"]),
        others=_texts(found["others"]),
        text=str(found["text"]),
        content=str(found["content"]),
        use=Use(_number(found["uses"]), first, last, _number(found["days"]), people),
        ran=_number(found["ran"]),
        recommend=cast("Verdict", found["recommend"]),
        why=str(found["why"]),
        narrow={key: _read_plain(value) for key, value in cast("Told", found["narrow"]).items()},
        since=cast("Since", found["since"]),
        position=str(found["position"]),
    )


def _read_run(found: Told) -> Run:
    denied = cast("Sequence[tuple[str, str, int]]", found["denied"])
    return Run(
        str(found["agent"]),
        _number(found["days"]),
        _number(found["calls"]),
        tuple((str(code), str(action), int(count)) for code, action, count in denied),
    )


def _read_plain(value: Json) -> Plain:
    if isinstance(value, list):
        return tuple(_read_plain(each) for each in value)
    return {key: _read_plain(each) for key, each in value.items()} if isinstance(value, dict) else str(value)


def _objects(found: Json) -> Sequence[Told]:
    return cast("Sequence[Told]", found)


def _texts(found: Json) -> tuple[str, ...]:
    return tuple(str(each) for each in cast("Sequence[Json]", found))


def _number(found: Json) -> int:
    return int(cast("int", found))


def _at(found: Json) -> datetime:
    return datetime.fromisoformat(str(found))
