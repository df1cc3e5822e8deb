"""`sinks` of gateway.yaml: what is meant is read, what is unsafe or odd is refused with a next step."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sinks_rig import sink_of

from bailiwick.errors import ConfigError
from bailiwick.gateway.config import load_config
from bailiwick.gateway.sinks.selection import Selection
from bailiwick.gateway.sinks.ways import way_of


def test_a_sink_says_where_what_and_how() -> None:
    sink = sink_of(
        "{jsonl: out/ledger.jsonl, format: ocsf, from: now, rotate: {size: 1MiB, age: 1d, keep: 3},"
        " select: {kinds: [call, 'session.*'], agents: support-*, decisions: deny, severity: medium}}"
    )
    assert (sink.kind, sink.format, sink.start) == ("jsonl", "ocsf", "now")
    assert (sink.rotation.size, sink.rotation.age, sink.rotation.keep) == (1024**2, timedelta(days=1), 3)
    assert sink.selection == Selection(("call", "session.*"), ("support-*",), ("deny",), "medium")


@pytest.mark.parametrize(
    ("document", "wanted"),
    [
        ({"kind": "session.opened", "agent": "support-bot"}, False),
        ({"kind": "session.refused", "agent": "support-bot"}, True),
        ({"kind": "call", "agent": "support-bot", "decision": "deny"}, True),
        ({"kind": "call", "agent": "other", "decision": "deny"}, False),
        ({"kind": "call", "agent": "support-bot", "decision": "allow"}, False),
    ],
)
def test_a_selection_wants_what_all_of_it_admits(document: dict[str, str], wanted: bool) -> None:
    assert Selection(("call", "session.*"), ("support-*",), (), "medium").wants(dict(document)) is wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "needs one of jsonl"),
        ("{jsonl: a, syslog: 'tls://h'}", "needs one of"),
        ("{jsonl: a, topic: x}", "has no `topic`"),
        ("{jsonl: a, formt: ocsf}", "unknown key `formt`"),
        ("{jsonl: a, format: cef}", "there is no `cef`"),
        ("{jsonl: a, select: {severity: loud}}", "there is no `loud`"),
        ("{jsonl: a, select: {decisions: maybe}}", "there is no `maybe`"),
        ("{jsonl: a, rotate: {size: big}}", "`big` is not a size"),
        ("{splunk: 'https://h'}", "has no `token`"),
        ("{splunk: 'https://h', token: CANARY-plain}", "is not a reference"),
        ("{https: 'https://h', headers: {Authorization: CANARY-plain}}", "is not a reference"),
        ("{https: 'https://u:CANARY-plain@h'}", "holds a name or password"),
        ("{kafka: 'h:9092'}", "no `topic`"),
        ("{kafka: 'h:9092', topic: t, user: u}", "belong together"),
        ("{syslog: 'tls://h', cert: c}", "belong together"),
    ],
)
def test_what_is_wrong_is_refused_without_showing_secrets(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        sink_of(text)
    assert "CANARY" not in raised.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{https: 'http://logs.example'}", "not one of https"),
        ("{otlp: 'ftp://h'}", "not one of https"),
        ("{syslog: 'tcp://logs.example:601'}", "in clear to another machine"),
        ("{syslog: 'udp://127.0.0.1'}", "not one of syslog"),
        ("{kafka: nowhere, topic: t}", "does not name brokers"),
        ("{https: 'https://h', ca: missing.pem}", "cannot be read"),
        ("{https: '${MISSING}'}", "`MISSING` is not set"),
    ],
)
def test_what_would_go_out_in_clear_or_nowhere_is_refused_at_the_start(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        way_of(sink_of(text), {}, tmp_path, str)


@pytest.mark.parametrize("text", ["{syslog: 'tcp://127.0.0.1:601'}", "{https: 'http://localhost:1/x'}"])
def test_a_receiver_on_this_machine_needs_no_tls(text: str, tmp_path: Path) -> None:
    assert way_of(sink_of(text), {}, tmp_path, str).broke() is None


def test_sinks_are_part_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("bailiwick: 1\n")
    (tmp_path / "gateway.yaml").write_text("sinks:\n  here: {jsonl: a.jsonl}\n")
    assert load_config(tmp_path / "policy.yaml", {}).sinks["here"].target.text == "a.jsonl"
