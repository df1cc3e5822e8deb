"""A whole gateway that delivers: killed between batches, nothing is lost; its sinks are looked at and tried out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from sinks_rig import PATIENCE, Answer, Receiver, receiving

from bailiwick.errors import BailiwickError
from bailiwick.gateway.ledger.reader import open_reader
from tests.support.gateway import RunningGateway, prepare_gateway

pytestmark = pytest.mark.xdist_group("sinks-gateway")
POLICY = """
bailiwick: 1
roles:
  clerk: {grants: []}
agents:
  clerk: {owner: office, purpose: is refused, roles: [clerk]}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def refuse(gateway: RunningGateway, count: int) -> None:
    """Make records: sessions that are refused."""
    for _ in range(count):
        with pytest.raises(BailiwickError):
            gateway.admin.ask("session.open", {"agent": "nobody", "groups": [], "values": {}})


def delivered(folder: Path) -> list[dict[str, Any]]:
    """Return what is in the file of the sink, whole lines only."""
    path = folder / "out.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(each) for each in text.split("\n")[:-1]]


def exported(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the records that a collector was sent, read by the definitions of OTLP."""
    found: list[dict[str, Any]] = []
    for taken in receiver.taken:
        request = json_format.Parse(taken.body, ExportLogsServiceRequest())
        for resource in request.resource_logs:
            found += [json.loads(log.body.string_value) for scope in resource.scope_logs for log in scope.log_records]
    return found


def test_nothing_is_lost_when_the_gateway_is_killed_between_batches(tmp_path: Path, receiver: Receiver) -> None:
    settings = (
        "sinks:\n"
        "  here: {jsonl: out.jsonl}\n"
        f"  collector: {{otlp: '{receiver.url}', format: native, headers: {{Authorization: 'Bearer ${{OTLP}}'}}}}\n"
    )
    gateway = prepare_gateway(tmp_path, POLICY, {"OTLP": "CANARY-otlp"}, settings)
    try:
        for number in range(2):
            receiver.script = [Answer(503)] if number == 1 else []
            gateway.start()
            refuse(gateway, 40)
            gateway.kill()
        gateway.start()
        total = int(json.loads(gateway.say("ledger", "sinks", "--json").stdout)[0]["seq"])
        deadline = time.monotonic() + PATIENCE
        wanted = set(range(total))
        while True:
            here = {each["seq"]: each["id"] for each in delivered(tmp_path) if "seq" in each}
            there = {each["seq"]: each["id"] for each in exported(receiver) if "seq" in each}
            if wanted <= here.keys() and wanted <= there.keys():
                break
            assert time.monotonic() < deadline, gateway.log()
            time.sleep(0.1)
        assert len([each for each in delivered(tmp_path) if each.get("kind") == "session.refused"]) >= 80
        assert all(here[seq] == there[seq] for seq in wanted), "a record has one id, wherever and however often it goes"
        _look(gateway)
    finally:
        gateway.stop()
    assert "CANARY" not in gateway.log() + (tmp_path / "out.jsonl").read_text()


def _waiting(gateway: RunningGateway) -> int:
    waiting = gateway.admin.ask("ledger.prune", {"dry": True}).get("waiting")
    count = waiting.get("hook") if isinstance(waiting, dict) else 0
    return count if isinstance(count, int) else 0


def _pruned(folder: Path) -> int:
    with closing(open_reader(folder / ".bailiwick" / "ledger.db")) as reader:
        return sum(last - first + 1 for first, last in reader.pruned())


def test_content_is_pruned_only_once_every_sink_has_it(tmp_path: Path, receiver: Receiver) -> None:
    receiver.usual = Answer(503)
    settings = f"sinks:\n  here: {{jsonl: out.jsonl}}\n  hook: {{https: '{receiver.url}'}}\n"
    gateway = prepare_gateway(tmp_path, POLICY + "retention: 1s\n", {}, settings)
    try:
        gateway.start()
        refuse(gateway, 3)
        deadline = time.monotonic() + PATIENCE
        while _waiting(gateway) < 3:
            assert time.monotonic() < deadline, gateway.log()
            time.sleep(0.1)
        gateway.stop()
        gateway.start()  # a start looks at what is due as well
        told = gateway.say("ledger", "prune").stdout
        assert told.startswith("0 records pruned\n")
        assert "wait until the sink `hook` has them" in told
        assert _pruned(tmp_path) == 0
        receiver.usual = Answer()
        deadline = time.monotonic() + PATIENCE
        while _pruned(tmp_path) < 3:
            assert time.monotonic() < deadline, gateway.log()
            gateway.admin.ask("ledger.prune", {})
            time.sleep(0.1)
    finally:
        gateway.stop()
    came = [each for each in receiver.events() if each["kind"] != "checkpoint"]
    assert {*range(max(each["seq"] for each in came) + 1)} == {each["seq"] for each in came}
    assert [each["kind"] for each in came].count("session.refused") == 3


def _look(gateway: RunningGateway) -> None:
    listed = gateway.say("ledger", "sinks")
    assert listed.returncode == 0
    assert "here (jsonl, native): " in listed.stdout
    assert "sink:" in gateway.say("status").stdout
    tried = gateway.say("ledger", "sinks", "test", "here")
    assert (tried.returncode, tried.stdout) == (0, "here: sent\n")
    wrong = gateway.say("ledger", "sinks", "test", "nowhere")
    assert wrong.returncode != 0
    assert "there is no sink `nowhere`" in wrong.stderr
    note = gateway.folder / "out.jsonl.checkpoint"
    if note.exists():
        assert gateway.say("ledger", "verify", "--checkpoint", str(note)).returncode == 0
