"""Approvals as JSON: how they are stored, and how the desk tells them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import cast

from bailiwick.decide.approvals import missing
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import (
    Approval,
    ChangedRow,
    Need,
    Previewed,
    Requester,
    Shown,
    Step,
    Subject,
    Terms,
)

Object = Mapping[str, object]


def dump(approval: Approval) -> str:
    """Return an approval as text, apart from its id, state and moments, which have columns."""
    terms, who = approval.terms, approval.requester
    return json.dumps(
        {
            "subject": _subject_to(approval.subject),
            "requester": {
                "user": who.user,
                "task": who.task,
                "chain": [*who.chain],
                "barred": [*who.barred],
            },
            "terms": {
                "needs": [_need_to(each) for each in terms.needs],
                "expires": _seconds(terms.expires),
                "lasts": _seconds(terms.lasts),
                "reauth": _seconds(terms.reauth),
                "mode": terms.mode,
                "message": terms.message,
            },
            "policy": approval.policy,
            "actions": [*approval.actions],
            "grants": [*approval.grants],
            "purpose": approval.purpose,
            "labels": [*approval.labels],
            "preview": {
                "rows": approval.previewed.rows,
                "shown": _rows_to(approval.previewed.shown),
                "keys": approval.previewed.keys,
            },
            "steps": [_step_to(each) for each in approval.steps],
        }
    )


def load(row: Mapping[str, object], made_at: datetime, expires_at: datetime) -> Approval:
    """Return the approval of a row of the store."""
    body = cast("Object", json.loads(cast("str", row["body"])))
    who, terms = cast("Object", body["requester"]), cast("Object", body["terms"])
    preview = cast("Object", body["preview"])
    return Approval(
        id=cast("str", row["id"]),
        subject=_subject_from(cast("Object", body["subject"])),
        requester=Requester(
            cast("str", row["session"]),
            cast("str", row["agent"]),
            cast("str", who["user"]),
            cast("str", who["task"]),
            _texts(who["chain"]),
            _texts(who["barred"]),
        ),
        terms=Terms(
            tuple(_need_from(each) for each in cast("list[Object]", terms["needs"])),
            timedelta(seconds=cast("float", terms["expires"])),
            timedelta(seconds=cast("float", terms["lasts"])),
            _time(terms["reauth"]),
            "execute" if terms["mode"] == "execute" else "wait",
            cast("str", terms["message"]),
        ),
        policy=cast("str", body["policy"]),
        actions=_texts(body["actions"]),
        grants=_texts(body["grants"]),
        purpose=cast("str", body["purpose"]),
        made_at=made_at,
        expires_at=expires_at,
        labels=_texts(body["labels"]),
        previewed=Previewed(
            cast("int | None", preview["rows"]),
            _rows_from(cast("list[Object]", preview["shown"])),
            cast("str", preview["keys"]),
        ),
        state=row["state"],  # pyright: ignore[reportArgumentType] # the column holds nothing else
        steps=tuple(_step_from(each) for each in cast("list[Object]", body["steps"])),
    )


def told(approval: Approval) -> dict[str, Json]:
    """Return one line of a list of approvals."""
    return {
        "id": approval.id,
        "state": approval.state,
        "kind": approval.subject.kind,
        "agent": approval.requester.agent,
        "user": approval.requester.user or None,
        "task": approval.requester.task or None,
        "session": approval.requester.session,
        "mount": approval.subject.mount or None,
        "actions": [*approval.actions],
        "gates": [*approval.gates],
        "approvers": [*sorted({each for need in approval.terms.needs for each in need.groups})],
        "rows": approval.previewed.rows,
        "made_at": approval.made_at.isoformat(timespec="seconds"),
        "expires_at": approval.expires_at.isoformat(timespec="seconds"),
    }


def told_in_full(approval: Approval) -> dict[str, Json]:
    """Return everything about an approval: what runs once it is approved, and what that would do."""
    subject, terms = approval.subject, approval.terms
    return {
        **told(approval),
        ("statement" if subject.kind == "statement" else "name"): subject.text,
        ("parameters" if subject.kind == "statement" else "arguments"): _content(subject.content),
        "digest": subject.digest,
        "policy": approval.policy,
        "chain": [*approval.requester.chain],
        "grants": [*approval.grants],
        "labels": [*approval.labels],
        "purpose": approval.purpose,
        "message": terms.message,
        "mode": terms.mode,
        "reauth": _seconds(terms.reauth),
        "needs": [
            {"gate": need.gate, "groups": [*need.groups], "quorum": need.quorum, "missing": lack}
            for need, lack in _lacking(approval)
        ],
        "preview": subject.preview,
        "keys": approval.previewed.keys or None,
        "shown": cast("Json", _rows_to(approval.previewed.shown)),
        "history": [_step_to(each) for each in approval.steps],
    }


def _lacking(approval: Approval) -> list[tuple[Need, int]]:
    open_needs = {need.gate: lack for need, lack in missing(approval)}
    return [(need, open_needs.get(need.gate, 0)) for need in approval.terms.needs]


def _content(text: str) -> Json:
    return cast("Json", json.loads(text)) if text else None


def _subject_to(subject: Subject) -> dict[str, Json]:
    return {
        "kind": subject.kind,
        "mount": subject.mount,
        "text": subject.text,
        "content": subject.content,
        "digest": subject.digest,
        "preview": subject.preview,
    }


def _subject_from(found: Object) -> Subject:
    return Subject(**cast("dict[str, str]", found))  # pyright: ignore[reportArgumentType] # as `_subject_to` wrote it


def _need_to(need: Need) -> dict[str, Json]:
    return {
        "gate": need.gate,
        "groups": [*need.groups],
        "quorum": need.quorum,
        "after": _seconds(need.escalate_after),
        "to": [*need.escalate_to],
    }


def _need_from(found: Object) -> Need:
    return Need(
        cast("str", found["gate"]),
        _texts(found["groups"]),
        cast("int", found["quorum"]),
        _time(found["after"]),
        _texts(found["to"]),
    )


def _step_to(step: Step) -> dict[str, Json]:
    return {
        "kind": step.kind,
        "at": step.at.isoformat(),
        "by": step.by,
        "text": step.text,
        "digest": step.digest,
        "gates": [*step.gates],
        "groups": [*step.groups],
    }


def _step_from(found: Object) -> Step:
    return Step(
        found["kind"],  # pyright: ignore[reportArgumentType] # as `_step_to` wrote it
        datetime.fromisoformat(cast("str", found["at"])),
        cast("str", found["by"]),
        cast("str", found["text"]),
        cast("str", found["digest"]),
        _texts(found["gates"]),
        _texts(found["groups"]),
    )


def _rows_to(rows: Sequence[ChangedRow]) -> list[dict[str, object]]:
    return [
        {
            "key": list(row.key),
            "before": None if row.before is None else dict(row.before),
            "after": None if row.after is None else dict(row.after),
        }
        for row in rows
    ]


def _rows_from(rows: Sequence[Object]) -> tuple[ChangedRow, ...]:
    return tuple(
        ChangedRow(
            tuple(cast("list[str | None]", row["key"])),
            cast("Shown | None", row["before"]),
            cast("Shown | None", row["after"]),
        )
        for row in rows
    )


def _texts(found: object) -> tuple[str, ...]:
    return tuple(cast("list[str]", found))


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _time(seconds: object) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=cast("float", seconds))
