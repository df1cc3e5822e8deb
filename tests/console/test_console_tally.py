"""Counters say what counting anew would say, whatever order of pieces the records came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.console.figures import HEIGHT, bars
from bailiwick.console.tally import Tally, Verdict, verdicts
from bailiwick.ledger.encode import moment
from bailiwick.model.record import JsonValue

NOW = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
calls = st.lists(
    st.tuples(
        st.integers(0, 3 * 24 * 3600),
        st.sampled_from(("call", "intent", "outcome", "login")),
        st.sampled_from(("allow", "deny", "hold", "")),
        st.sampled_from(("a", "b")),
        st.sampled_from(("orders:read", "orders:update", "x:y")),
    ),
    max_size=60,
)


def document(ago: int, kind: str, decision: str, agent: str, action: str) -> dict[str, JsonValue]:
    at = moment(NOW - timedelta(seconds=ago))
    return {"at": at, "kind": kind, "decision": decision, "agent": agent, "actions": [action, action]}


@given(calls)
def test_counters_are_the_counts(found: list[tuple[int, str, str, str, str]]) -> None:
    tally = Tally()
    for seq, each in enumerate(found):
        tally.take(seq, document(*each))
    assert tally.next == len(found)
    counted = [each for each in found if each[1] in ("call", "intent") and each[2]]
    hour = tally.per_minute(NOW, 60)
    begins = NOW.replace(second=0) - timedelta(minutes=59)
    for verdict in ("allow", "deny", "hold"):
        expected = sum(each[2] == verdict and NOW - timedelta(seconds=each[0]) >= begins for each in counted)
        assert sum(bucket.get(verdict, 0) for bucket in hour) == expected
    use = tally.of_resource("a", "orders").get("read")
    mine = [each for each in counted if each[3:] == ("a", "orders:read")]
    assert (0 if use is None else use.calls) == sum(each[2] == "allow" for each in mine)
    assert (0 if use is None else use.refused) == sum(each[2] != "allow" for each in mine)
    tally.forget(NOW + timedelta(days=100))
    assert all(each.calls == 0 for each in tally.uses.values())
    assert tally.per_minute(NOW + timedelta(days=100), 60) == [{}] * 60


@given(st.lists(st.dictionaries(st.sampled_from(verdicts), st.integers(0, 10**6)), max_size=100))
def test_bars_stay_in_their_picture(buckets: list[dict[Verdict, int]]) -> None:
    picture = bars(buckets)
    for bar in picture.bars:
        assert 0 <= bar.y <= HEIGHT
        assert 0 <= bar.x <= picture.width
        assert bar.width >= 0
    assert picture.most == max((sum(each.values()) for each in buckets), default=0)
