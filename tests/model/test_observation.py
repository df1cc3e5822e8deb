"""The JSON form of observations: nothing is lost, and nothing is guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from observation_samples import observations

from bailiwick.errors import ObservationError
from bailiwick.model.observation import Argument, Observation, Seen, TableUse, ToolUse
from bailiwick.model.observation_json import from_json, to_json
from bailiwick.model.record import JsonValue

_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
_PLAIN = Observation("bot", "ses_1", _AT, tables=(TableUse("tickets", "read", read=("subject",)),))


@given(seen=observations)
def test_what_is_written_is_read_again(seen: Observation) -> None:
    assert from_json(json.loads(json.dumps(to_json(seen)))) == seen
    assert from_json(orjson.loads(orjson.dumps(to_json(seen)))) == seen


def test_what_is_as_by_default_is_left_out() -> None:
    assert to_json(_PLAIN) == {
        "v": 1,
        "agent": "bot",
        "session": "ses_1",
        "at": "2026-03-01T12:00:00+00:00",
        "tables": [{"resource": "tickets", "verb": "read", "read": ["subject"]}],
    }


def test_empty_text_and_zero_are_values() -> None:
    tool = ToolUse("send", arguments=(Argument("note", Seen("string", "")), Argument("count", Seen("integer", 0))))
    seen = Observation("bot", "ses_1", _AT, tool=tool, rows=0)
    assert from_json(to_json(seen)) == seen


_WRONG: list[tuple[dict[str, JsonValue], str]] = [
    ({"v": 2}, "version"),
    ({"colour": "red"}, "unknown key `colour`"),
    ({"at": "2026-03-01T12:00:00"}, "no time zone"),
    ({"at": "yesterday"}, "moment"),
    ({"agent": 5}, "no text"),
    ({"rows": -1}, "no count"),
    ({"rows": True}, "no count"),
    ({"decision": "maybe"}, "none of"),
    ({"tables": [{"resource": "tickets"}]}, "`verb`"),
    ({"tables": [{"resource": "tickets", "verb": "read", "read": "subject"}]}, "no list of texts"),
    ({"values": {"customer_id": {"type": "integer", "value": "four"}}}, "integer"),
    ({"values": {"customer_id": {"type": "integer", "value": True}}}, "integer"),
    ({"values": {"customer_id": {"type": "number", "value": "NaN"}}}, "number"),
    ({"values": {"customer_id": {"type": "null", "value": "x"}}}, "null"),
    ({"tool": {"name": "send", "arguments": [{"name": "to"}]}}, "a value"),
]


@pytest.mark.parametrize(("changed", "said"), _WRONG, ids=[str(changed) for changed, _ in _WRONG])
def test_what_is_no_observation_is_refused(changed: dict[str, JsonValue], said: str) -> None:
    assert from_json(to_json(_PLAIN)) == _PLAIN
    with pytest.raises(ObservationError) as caught:
        from_json({**to_json(_PLAIN), **changed})
    assert said in caught.value.message


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ObservationError, match="no object"):
        from_json(["v", 1])
