"""The desk's requests about reviews: what the command line, the API and the console ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from bailiwick.errors import ProtocolError
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.review import Review, verdicts
from bailiwick.review.deciding import digest_of
from bailiwick.review.due import Standing
from bailiwick.review.form import told
from bailiwick.review.reviews import Reviews

Answered = Mapping[str, Json]


class ReviewDesk:
    """Answers them. `reviews` is None until the gateway has started."""

    def __init__(self, reviews: Callable[[], Reviews]) -> None:
        self._reviews = reviews

    def answers(self) -> Mapping[str, Callable[[Fields, Reviewer], Awaitable[Answered]]]:
        """Return who answers what."""
        return {
            "review.open": self._open,
            "review.list": self._list,
            "review.show": self._show,
            "review.decide": self._decide,
            "review.close": self._close,
            "review.patch": self._patch,
            "review.status": self._status,
            "review.report": self._report,
        }

    async def _open(self, fields: Fields, by: Reviewer) -> Answered:
        agent, owner = fields.maybe_text("agent"), fields.maybe_text("owner")
        fields.done()
        reviews = self._reviews()
        known = reviews.policy.agents
        if bool(agent) == bool(owner):
            raise _refused("a review is one agent's or one owner's", "name the one or the other")
        if agent and agent not in known:
            raise _refused(f"the policy has no agent `{agent[:100]}`", "see `bailiwick review status`")
        agents = [agent] if agent else [each.name for each in known.values() if each.owner == owner]
        opened = await reviews.open(agents, known[agent].owner if agent else owner or "", by)
        return {"review": self._in_full(opened, by)}

    async def _list(self, fields: Fields, by: Reviewer) -> Answered:
        del by
        everything = fields.flag("all")
        fields.done()
        found = self._reviews().list()
        return {"reviews": [_short(each) for each in found if everything or each.state == "OPEN"]}

    async def _show(self, fields: Fields, by: Reviewer) -> Answered:
        review = fields.text("review")
        fields.done()
        return {"review": self._in_full(self._reviews().find(review), by)}

    async def _decide(self, fields: Fields, by: Reviewer) -> Answered:
        review, line, verdict = fields.text("review"), fields.text("line"), fields.text("verdict")
        note = fields.maybe_text("note") or ""
        fields.done()
        if verdict not in verdicts:
            raise ProtocolError(f"`{verdict[:20]}` is no verdict", remedy=f"say one of {', '.join(verdicts)}")
        after = await self._reviews().decide(review, line, verdict, note, by)
        return {"review": self._in_full(after, by)}

    async def _close(self, fields: Fields, by: Reviewer) -> Answered:
        review = fields.text("review")
        fields.done()
        return {"review": self._in_full(await self._reviews().close(review, by), by)}

    async def _patch(self, fields: Fields, by: Reviewer) -> Answered:
        del by
        review = fields.text("review")
        fields.done()
        found = await self._reviews().patch(review)
        return {"patch": found.text, "left": dict(found.left)}

    async def _status(self, fields: Fields, by: Reviewer) -> Answered:
        del by
        fields.done()
        return {"agents": [standing_told(each) for each in self._reviews().status()]}

    async def _report(self, fields: Fields, by: Reviewer) -> Answered:
        del by
        fields.done()
        return {"html": await self._reviews().report()}

    def _in_full(self, review: Review, by: Reviewer) -> dict[str, Json]:
        denial = self._reviews().barred(review, by)
        stands: dict[str, Json] = {line.id: review.verdict(line) for line in review.lines}
        return {
            **told(review),
            "stands": stands,
            "undecided": [line.id for line in review.undecided],
            "digest": digest_of(review),
            "yours": review.state == "OPEN" and denial is None,
            "not_yours": None if denial is None else denial.message,
        }


def _refused(message: str, remedy: str) -> RefusedError:
    return RefusedError(Denial("review_refused", message, remedy=remedy))


def _short(review: Review) -> dict[str, Json]:
    recommended = [line.recommend for line in review.lines]
    return {
        "id": review.id,
        "owner": review.owner,
        "agents": [*review.agents],
        "state": review.state,
        "opened_at": review.opened_at.isoformat(timespec="seconds"),
        "due_at": review.due_at.isoformat(timespec="seconds"),
        "closed_at": None if review.closed_at is None else review.closed_at.isoformat(timespec="seconds"),
        "closed_by": review.closed_by,
        "lines": len(review.lines),
        "undecided": len(review.undecided),
        "revoke": recommended.count("revoke"),
    }


def standing_told(found: Standing) -> dict[str, Json]:
    """Return what is told of how an agent's review stands."""
    last = found.last
    return {
        "agent": found.agent,
        "owner": found.owner,
        "every_days": found.every.days,
        "restricted": found.restricted,
        "due_at": found.due_at.isoformat(timespec="seconds"),
        "overdue": found.overdue,
        "open": None if found.open is None else found.open.id,
        "undecided": None if found.open is None else len(found.open.undecided),
        "last": None if last is None else last.id,
        "closed_at": None if last is None or last.closed_at is None else last.closed_at.isoformat(timespec="seconds"),
        "off": [*found.off],
        "waiting": [*found.waiting],
    }
