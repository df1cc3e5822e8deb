"""Deciding on the lines of a review: who may, and what comes of it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime

from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.policy import Policy
from bailiwick.model.review import Decision, Line, Review, Verdict
from bailiwick.review.form import told

longest_note = 2000


def barred(review: Review, policy: Policy, by: Reviewer) -> Denial | None:
    """Return why a person may not decide in a review, None when they may. `by` has the groups of the policy."""
    if by.means == "client":
        return Denial("review_refused", "a program decides in no review", remedy="log in as a person")
    groups = (review.owner, *(policy.review.approvers if policy.review is not None else ()))
    if by.everywhere or by.name == review.owner or by.groups & set(groups):
        return None
    message = f"`{review.id}` is not for you to decide"
    return Denial("review_refused", message, f"`{review.owner}`, or a member of {', '.join(groups)}", "ask them")


def decided(
    review: Review, line_id: str, verdict: Verdict, by: Reviewer, now: datetime, note: str = ""
) -> Review | Denial:
    """Return the review with what a person decided about a line. Whether they may decide in it was asked before.

    Nobody keeps what was used in their own name: somebody else has to say that it is needed.
    """
    line = review.line(line_id)
    if review.state != "OPEN":
        return Denial("review_refused", f"`{review.id}` is closed", remedy="open another one")
    if line is None:
        message = f"`{review.id}` has no line `{line_id[:20]}`"
        return Denial("review_refused", message, remedy="see `bailiwick review show`")
    if verdict == "narrow" and not line.narrow:
        return Denial("review_refused", f"how line {line.id} is to be narrowed is not known", remedy=_otherwise(line))
    if verdict in ("keep", "ask") and _folded(by.name) in {_folded(name) for name, _ in line.use.people}:
        message = f"line {line.id} was used for you: you do not keep it yourself"
        return Denial("review_refused", message, "`revoke` and `narrow`", "another person has to decide")
    if len(note) > longest_note:
        return Denial("review_refused", f"a note has at most {longest_note} characters", remedy="say it shorter")
    made = Decision(verdict, by.name, now, note)
    return replace(review, decisions={**review.decisions, line.id: made})


def _otherwise(line: Line) -> str:
    return "revoke the fields that are not needed" if line.kind == "grant" else "keep it, revoke it, or ask"


def _folded(name: str) -> str:
    return name.casefold()


def closed(review: Review, by: Reviewer, now: datetime) -> Review | Denial:
    """Return the review once everything in it is decided."""
    if review.state != "OPEN":
        return Denial("review_refused", f"`{review.id}` is closed", remedy="open another one")
    left = [line.id for line in review.undecided]
    asked = [line.id for line in review.lines if review.verdict(line) == "ask"]
    if left or asked:
        numbers = ", ".join((left or asked)[:20])
        message = f"`{review.id}` has lines {'without a decision' if left else 'with an open question'}: {numbers}"
        return Denial("review_refused", message, remedy="decide on them first")
    return replace(review, state="CLOSED", closed_at=now, closed_by=by.name)


def digest_of(review: Review) -> str:
    """Return the SHA-256 (hex) of everything in a review: evidence, lines and decisions."""
    text = json.dumps(told(review), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
