"""Changing the rules in production: what narrows holds at once, what widens waits for a person, over restarts too."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from gateway_rig import Hand, Listed, lock, policy_of, text

from bailiwick.errors import LedgerError, PolicyError
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.policies.promotion import Promotion, PromotionError, Rules, at_start, identity_of
from bailiwick.gateway.policies.ready import Ready, Written
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.state import State, open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.approval import Reviewer
from bailiwick.model.notice import Notice
from tests.support.gateway import RunningGateway, prepare_gateway
from tests.support.postgres import Database, Server

ANN, BEN = Reviewer("ann@corp"), Reviewer("ben@corp")
narrow = text.replace("rows: {ticket_id: $ticket_id}", "rows: {ticket_id: $ticket_id, tenant_id: 4}")
wide = text.replace(", rows: {ticket_id: $ticket_id}", "")
wider = wide.replace("only: {tickets: {}}", "only: {tickets: {}, customers: {}}")
mixed = wide.replace("ttl: 30m", "ttl: 10m")
same = "# a comment\n" + text


def ready(document: str) -> Ready:
    return Ready(Force(policy_of(document), lock), {}, {}, written=Written({"policy.yaml": document}, "lock"))


async def prepare(written: Written) -> Ready:
    return ready(written.files["policy.yaml"])


@dataclass
class Desk:
    """What decides about policies, without a gateway around it."""

    state: State
    four_eyes: bool = False
    gated: bool = True
    ledger: Listed = field(default_factory=Listed)
    told: list[Notice] = field(default_factory=list[Notice])

    def __post_init__(self) -> None:
        self.clock = Hand()
        self.promotion = self.anew()

    def anew(self) -> Promotion:
        """Return it as after a restart."""
        recorder = Recorder(self.ledger, self.clock, Ulids())
        self.promotion = Promotion(self.state, recorder, self.clock, Rules(self.gated, self.four_eyes))
        self.promotion.told_by(self.told.append)
        return self.promotion


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    opened = await open_state(tmp_path / "state.db")
    yield opened
    await opened.close()


@pytest.fixture
async def desk(state: State) -> Desk:
    made = Desk(state)
    assert (await at_start(made.promotion, ready(text), prepare)).written == ready(text).written
    return made


@pytest.mark.parametrize(
    ("document", "admitted"),
    [
        pytest.param(text, True, id="same"),
        pytest.param(same, True, id="comment"),
        pytest.param(narrow, True, id="narrow"),
        pytest.param(wide, False, id="wide"),
        pytest.param(mixed, False, id="mixed"),
    ],
)
async def test_only_what_widens_waits(desk: Desk, document: str, admitted: bool) -> None:
    assert await desk.promotion.admits(ready(document), ready(text), "ann@corp") is admitted
    assert (desk.promotion.pending is None) is admitted
    assert ("policy.pending" in desk.ledger.kinds()) is not admitted
    assert [each.kind for each in desk.told] == ([] if admitted else ["policy"])


async def test_in_staging_nothing_waits(state: State) -> None:
    desk = Desk(state, gated=False)
    assert await at_start(desk.promotion, ready(text), prepare)
    assert await desk.promotion.admits(ready(wider), ready(text), "ann@corp")
    assert desk.ledger.records == []


async def test_changed_lock_that_widens_waits_too(desk: Desk) -> None:
    more = text.replace("tickets:read, reason: answers them", "tickets:read, fields: [note], reason: answers them")
    before = replace(ready(more), written=Written({"policy.yaml": more}, "old"))
    table = lock.mounts["crm"]["public", "tickets"]
    from bailiwick.model.lock import Lock, LockedColumn

    grown = replace(table, columns=(*table.columns, LockedColumn("note", "text")))
    after = Force(policy_of(more), Lock({"crm": {**lock.mounts["crm"], ("public", "tickets"): grown}}))
    assert not await desk.promotion.admits(
        Ready(after, {}, {}, written=Written({"policy.yaml": more}, "new")), before, ""
    )


async def test_promoted_is_exactly_what_was_looked_at(desk: Desk) -> None:
    assert not await desk.promotion.admits(ready(wide), ready(text), "")
    pending = desk.promotion.pending
    assert pending is not None
    assert not await desk.promotion.admits(ready(wider), ready(text), "")
    with pytest.raises(PromotionError, match="another policy waits"):
        await desk.promotion.promote(pending.id, ANN, prepare)
    latest = desk.promotion.pending
    assert latest is not None
    promoted, changes = await desk.promotion.promote(latest.id, ANN, prepare)
    assert identity_of(promoted.written) == identity_of(ready(wider).written)
    assert any(each.widens for each in changes)
    record = desk.ledger.records[-1]
    assert (record.kind, record.detail["by"]) == ("policy.promoted", "ann@corp")
    assert str(changes[0]) in cast("list[str]", record.detail["changes"])
    with pytest.raises(PromotionError, match="no policy waits"):
        await desk.promotion.promote(latest.id, ANN, prepare)


async def test_files_that_go_back_leave_nothing_to_promote(desk: Desk) -> None:
    assert not await desk.promotion.admits(ready(wide), ready(text), "")
    assert await desk.promotion.admits(ready(text), ready(text), "")
    assert desk.promotion.pending is None
    assert not await desk.promotion.admits(ready(wide), ready(text), "")
    assert await desk.promotion.admits(ready(narrow), ready(text), "")
    assert desk.promotion.pending is None


async def test_with_four_eyes_nobody_promotes_what_they_have_changed(state: State) -> None:
    desk = Desk(state, four_eyes=True)
    await at_start(desk.promotion, ready(text), prepare)
    assert not await desk.promotion.admits(ready(wide), ready(text), "ann@corp")
    assert not await desk.promotion.admits(ready(wide), ready(text), "cy@corp")  # read again by another
    pending = desk.promotion.pending
    assert pending is not None
    for name in ("ann@corp", "Ann@Corp ", "cy@corp"):
        with pytest.raises(PromotionError, match="does not promote it"):
            await desk.promotion.promote(pending.id, Reviewer(name), prepare)
        assert desk.ledger.records[-1].kind == "policy.refused"
    await desk.promotion.promote(pending.id, BEN, prepare)


async def test_without_four_eyes_they_may_and_a_program_never(desk: Desk) -> None:
    assert not await desk.promotion.admits(ready(wide), ready(text), "ann@corp")
    pending = desk.promotion.pending
    assert pending is not None
    with pytest.raises(PromotionError, match="a program"):
        await desk.promotion.promote(pending.id, Reviewer("client ci", means="client"), prepare)
    await desk.promotion.promote(pending.id, ANN, prepare)


async def test_owner_of_a_changed_file_is_one_of_its_authors(state: State, tmp_path: Path) -> None:
    import getpass

    file = tmp_path / "policy.yaml"
    file.write_text(wide)
    desk = Desk(state, four_eyes=True)
    await at_start(desk.promotion, ready(text), prepare)
    changed = replace(ready(wide), written=Written({str(file): wide}, "lock"))
    assert not await desk.promotion.admits(changed, ready(text), "")
    pending = desk.promotion.pending
    assert pending is not None
    assert pending.authors == (f"local:{getpass.getuser()}",)


async def test_restart_starts_with_what_was_promoted_last(desk: Desk) -> None:
    for document, starts in ((same, same), (narrow, narrow), (wide, narrow), (narrow, narrow)):
        found = await at_start(desk.anew(), ready(document), prepare)
        assert identity_of(found.written) == identity_of(ready(starts).written)
        assert (desk.promotion.pending is not None) is (document == wide)
    await at_start(desk.anew(), ready(wide), prepare)
    pending = desk.promotion.pending
    assert pending is not None
    await desk.promotion.promote(pending.id, ANN, prepare)
    found = await at_start(desk.anew(), ready(wide), prepare)
    assert identity_of(found.written) == identity_of(ready(wide).written)
    assert desk.promotion.pending is None


async def test_restart_does_not_widen_because_the_old_policy_fails(desk: Desk) -> None:
    async def fails(written: Written) -> Ready:
        assert written.files
        raise PolicyError("table `x` is gone")

    with pytest.raises(PolicyError, match="promoted last cannot be put in force: table `x` is gone"):
        await at_start(desk.anew(), ready(wide), fails)
    assert await at_start(desk.anew(), ready(text), fails)


async def test_nothing_is_promoted_that_cannot_be_recorded(desk: Desk) -> None:
    assert not await desk.promotion.admits(ready(wide), ready(text), "")
    pending = desk.promotion.pending
    assert pending is not None
    desk.ledger.broken = True
    with pytest.raises(LedgerError):
        await desk.promotion.promote(pending.id, ANN, prepare)
    with pytest.raises(LedgerError):
        await desk.promotion.admits(ready(narrow), ready(text), "")
    desk.ledger.broken = False
    found = await at_start(desk.anew(), ready(wide), prepare)
    assert identity_of(found.written) == identity_of(ready(text).written)


# --- a gateway that runs ---

script = """
CREATE TABLE tickets (ticket_id int PRIMARY KEY, tenant_id int NOT NULL, customer_id int NOT NULL);
CREATE TABLE customers (customer_id int PRIMARY KEY, tenant_id int NOT NULL);
"""


@pytest.fixture(scope="module")
def upstream(postgres: Server) -> Iterator[Database]:
    made = postgres.create(script)
    yield made
    made.drop()


@pytest.fixture
def gateway(upstream: Database) -> Iterator[RunningGateway]:
    folder = Path(tempfile.mkdtemp(prefix="bwpro"))
    made = prepare_gateway(folder, text, {"CRM_URL": upstream.url()})
    settings = folder / "gateway.yaml"
    settings.write_text(settings.read_text().replace("staging", "production"))
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status(gateway: RunningGateway) -> Mapping[str, object]:
    return gateway.admin.ask("status", {})


def test_widened_policy_waits_at_the_gateway_and_is_promoted_on_the_command_line(gateway: RunningGateway) -> None:
    first = status(gateway)["policy"]
    gateway.policy.write_text(wide)
    until(lambda: status(gateway)["pending"] is not None)
    assert status(gateway)["policy"] == first
    shown = gateway.say("policy", "pending")
    assert (shown.returncode, "+ support-bot" in shown.stdout) == (0, True), shown.stderr
    gateway.stop()
    gateway.start()
    assert (status(gateway)["policy"], status(gateway)["pending"] is None) == (first, False)
    promoted = gateway.say("policy", "promote", "--yes")
    assert promoted.returncode == 0, promoted.stderr
    assert status(gateway)["policy"] == policy_of(wide).version
    assert status(gateway)["pending"] is None
    gateway.policy.write_text(text)  # narrower again: at once
    until(lambda: status(gateway)["policy"] == first)
    kinds = [line for line in gateway.say("ledger", "query", "--json").stdout.splitlines() if "policy." in line]
    assert sum('"policy.promoted"' in line for line in kinds) >= 2
