"""What goes over the wire: messages of syslog and requests of OTLP, read by others' rules; notes found again."""

from __future__ import annotations

import json
import re

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sinks_rig import ORIGIN, record

from bailiwick.gateway.sinks.item import Item, checkpoint_item, item_of, notes_in
from bailiwick.gateway.sinks.otlp import as_logs, rejected_by
from bailiwick.gateway.sinks.section import Format
from bailiwick.gateway.sinks.selection import Selection
from bailiwick.gateway.sinks.syslog import framed, message_of
from bailiwick.ledger.encode import encode

HEAD = re.compile(
    rb"<(\d{1,3})>1 (\S+) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) "
    rb'\[bailiwick@32473((?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")+)\] (.*)',
    re.DOTALL,
)
NOTE = f"{ORIGIN}\n5\nAAAA\n\n\u2014 {ORIGIN} BBBB\n"


def item(form: Format = "native", *, deny: bool = False, message: str = "") -> Item:
    found = item_of(3, encode(record(3, deny=deny, message=message), 3), ORIGIN, form, Selection())
    assert found is not None
    return found


def test_a_native_record_is_its_canonical_bytes_and_an_event_carries_them() -> None:
    body = encode(record(3, message="é \u2028"), 3)
    assert item(message="é \u2028").text.encode() == body
    assert json.loads(item("ocsf", message="é \u2028").text)["raw_data"].encode() == body


def test_a_syslog_message_is_one_of_rfc_5424() -> None:
    found = HEAD.fullmatch(message_of(item(deny=True), "host.example", 7))
    assert found is not None
    assert int(found[1]) == 13 * 8 + 4
    assert found[2] == b"2026-11-22T08:00:03.000001Z"
    assert (found[3], found[4], found[5], found[6]) == (b"host.example", b"bailiwick", b"7", b"call")
    assert b'id="rec_00000000000000000000000003"' in found[7]
    assert json.loads(found[8])["seq"] == 3


@given(st.text(), st.text(), st.text())
def test_no_text_breaks_out_of_its_place_in_a_syslog_message(agent: str, kind: str, host: str) -> None:
    odd = Item("rec_1", 1, "now", kind, "low", agent, 'x" evil="', '{"a":1}')
    found = HEAD.fullmatch(message_of(odd, host, 1))
    assert found is not None
    assert found[8] == b'{"a":1}'
    assert framed(b"abc") == b"3 abc"


def test_otlp_is_read_by_its_own_definitions() -> None:
    sent = json_format.Parse(as_logs([item(deny=True), item("ocsf")], ORIGIN), ExportLogsServiceRequest())
    resource = sent.resource_logs[0]
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == {
        "service.name": "bailiwick",
        "service.instance.id": ORIGIN,
    }
    first = resource.scope_logs[0].log_records[0]
    assert (first.severity_number, first.event_name) == (13, "bailiwick.call")
    assert first.time_unix_nano == 1795334403000 * 10**6
    assert json.loads(first.body.string_value)["seq"] == 3
    assert {each.key: each.value.int_value for each in first.attributes}["bailiwick.seq"] == 3


@pytest.mark.parametrize(
    ("body", "rejected"),
    [
        (b"", 0),
        (b"{}", 0),
        (b'{"partialSuccess":null}', 0),
        (b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}', 3),
        (b'{"partialSuccess":{"rejectedLogRecords":2}}', 2),
        (b"<html>", None),
        (b"[]", None),
        (b'{"partialSuccess":5}', None),
        (b'{"partialSuccess":{"rejectedLogRecords":"-1"}}', None),
    ],
)
def test_what_a_collector_answers_is_read_strictly(body: bytes, rejected: int | None) -> None:
    assert rejected_by(body) == rejected


@pytest.mark.parametrize("form", ["native", "ocsf"])
def test_checkpoints_are_found_in_whatever_a_sink_received(form: Format) -> None:
    told = checkpoint_item(5, "2026-11-22T08:00:00.000000Z", NOTE, ORIGIN, form)
    lines = f"{item(form).text}\n{told.text}\n"
    assert notes_in(lines) == [NOTE]
    assert notes_in(framed(message_of(told, "h", 1)).decode()) == [NOTE]
    assert notes_in(NOTE) == [NOTE]
    assert notes_in(item(form).text) == []
    assert notes_in('"note":"') == []
