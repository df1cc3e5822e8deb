"""Reviews of a gateway: evidence and recommendations, who decides, what is recorded, what lapses and comes back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bailiwick.decide.decide import decide
from bailiwick.decide.scope import effective_scope
from bailiwick.errors import LedgerError
from bailiwick.gateway.refusal import RefusedError
from bailiwick.model.approval import Reviewer
from bailiwick.model.review import Review
from bailiwick.model.session import Session
from bailiwick.policy.diff import diff
from bailiwick.policy.matrix import matrix
from bailiwick.review.deciding import digest_of
from bailiwick.review.form import read, told
from tests.review.review_rig import LOCK, NOW, POLICY, Rig, make_rig, policy_of, used, years

ANN = Reviewer("ann", frozenset({"desk"}))
SEC = Reviewer("sid", frozenset({"security"}))
EVE = Reviewer("eve", frozenset({"sales"}))
LOCAL = Reviewer("local:root", means="local")
PROGRAM = Reviewer("ci", frozenset({"desk"}), means="client")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    found = await make_rig(tmp_path / "gw", past=years())
    yield found
    await found.stop()


async def opened(rig: Rig, agent: str = "support-bot") -> Review:
    owner = rig.reviews.policy.agents[agent].owner
    return await rig.reviews.open([agent], owner, ANN)


def line_of(review: Review, subject: str) -> str:
    return next(line.id for line in review.lines if line.subject == subject)


async def test_a_review_has_every_line_with_its_evidence_and_a_recommendation(rig: Rig) -> None:
    review = await opened(rig)
    lines = {line.subject: line for line in review.lines}
    assert [(line.id, line.kind, line.subject, line.recommend) for line in review.lines] == [
        ("1", "grant", "reads-tickets", "narrow"),
        ("2", "grant", "reads-customers", "narrow"),
        ("2.1", "field", "reads-customers customer_id", "keep"),
        ("2.2", "field", "reads-customers name", "keep"),
        ("2.3", "field", "reads-customers email", "revoke"),
        ("2.4", "field", "reads-customers ssn", "revoke"),
        ("2.5", "mask", "reads-customers email in clear", "narrow"),
        ("3", "grant", "deletes", "revoke"),
        ("4", "gate", "gate delete tickets:delete", "revoke"),
        ("5", "elevation", "elevation escalation support-bot", "revoke"),
    ]
    assert lines["reads-tickets"].narrow == {"fields": ("ticket_id", "subject")}
    customers = lines["reads-customers"]
    assert (customers.use.uses, customers.use.days, customers.use.people) == (91, 90, (("ada", 91),))
    assert (customers.agents, customers.others, customers.position) == (
        ("support-bot",),
        ("night-bot",),
        "policy.yaml:18",
    )
    assert lines["deletes"].ran == 60
    assert "not used since 2026-09-24, though agents that have it ran on 60 days" in lines["deletes"].why
    assert (review.runs[0].days, review.runs[0].denied) == (90, (("field_not_granted", "customers:read", 1),))
    assert read(told(review)) == review


async def test_what_is_not_known_for_long_enough_is_asked_and_not_revoked(tmp_path: Path) -> None:
    rig = await make_rig(tmp_path / "gw", past=[each for each in years() if each.at > NOW - timedelta(days=40)])
    try:
        assert {line.recommend for line in (await opened(rig)).lines} <= {"keep", "ask"}
    finally:
        await rig.stop()


async def test_a_grant_that_a_delegating_agent_lends_is_used(tmp_path: Path) -> None:
    lent = used(3, "other within deletes", "tickets:delete", agent="night-bot", chain=("support-bot",))
    rig = await make_rig(tmp_path / "gw", past=[*years(), lent])
    try:
        review = await opened(rig)
        found = review.line(line_of(review, "deletes"))
        assert found is not None
        assert (found.recommend, found.use.last) == ("keep", lent.at)
    finally:
        await rig.stop()


async def test_owner_and_approvers_decide_and_nobody_else(rig: Rig) -> None:
    review = await opened(rig)
    for by in (EVE, PROGRAM):
        with pytest.raises(RefusedError):
            await rig.reviews.decide(review.id, "3", "revoke", "", by)
    assert rig.reviews.find(review.id).decisions == {}
    for by in (ANN, SEC, LOCAL):
        after = await rig.reviews.decide(review.id, "3", "revoke", "long gone", by)
        assert (after.decisions["3"].verdict, after.decisions["3"].by) == ("revoke", by.name)
    kinds = [(each.kind, each.user, each.detail.get("verdict")) for each in rig.records()]
    assert kinds == [
        ("review.opened", "ann", None),
        ("review.refused", "eve", None),
        ("review.refused", "ci", None),
        *(("review.decided", name, "revoke") for name in ("ann", "sid", "local:root")),
    ]


async def test_nobody_keeps_what_was_used_for_them_but_they_may_revoke_it(rig: Rig) -> None:
    review = await opened(rig)
    ada = Reviewer("Ada", frozenset({"desk"}))
    with pytest.raises(RefusedError, match="you do not keep it yourself"):
        await rig.reviews.decide(review.id, "1", "keep", "", ada)
    assert (await rig.reviews.decide(review.id, "1", "narrow", "", ada)).decisions["1"].by == "Ada"
    assert (await rig.reviews.decide(review.id, "1", "keep", "", ANN)).decisions["1"].verdict == "keep"


async def test_nothing_is_decided_that_the_ledger_does_not_keep(rig: Rig) -> None:
    review = await opened(rig)
    rig.ledger.broken = True
    with pytest.raises(LedgerError):
        await rig.reviews.decide(review.id, "3", "keep", "", ANN)
    rig.ledger.broken = False
    assert rig.reviews.find(review.id).decisions == {}
    assert (await rig.reviews.decide(review.id, "3", "keep", "", ANN)).decisions["3"].verdict == "keep"


async def everything(rig: Rig, review: Review) -> Review:
    """Follow each recommendation; keep what is asked."""
    for line in review.undecided:
        verdict = "keep" if line.recommend == "ask" else line.recommend
        await rig.reviews.decide(review.id, line.id, verdict, "", ANN)
    return await rig.reviews.close(review.id, SEC)


async def test_a_review_closes_once_all_is_decided_and_its_digest_is_on_record(rig: Rig) -> None:
    review = await opened(rig)
    with pytest.raises(RefusedError, match="without a decision: 1, 2, 3, 4, 5"):
        await rig.reviews.close(review.id, ANN)
    await rig.reviews.decide(review.id, "3", "ask", "who needs it?", ANN)
    closed = await everything(rig, review)
    assert rig.records()[-1].detail["digest"] == digest_of(closed)
    assert digest_of(replace(closed, decisions={})) != digest_of(closed)
    with pytest.raises(RefusedError, match="is closed"):
        await rig.reviews.decide(review.id, "3", "keep", "", ANN)


async def test_the_patch_applies_and_a_revoked_grant_is_denied_afterwards(rig: Rig) -> None:
    closed = await everything(rig, await opened(rig))
    patch = await rig.reviews.patch(closed.id)
    assert patch.left == {}
    applied(rig.folder, patch.text)
    after = rig.policy_file.read_text()
    assert after == patch.files["policy.yaml"]
    assert "allow: customers:read   # names and addresses" in after
    assert "# nobody knows any more" not in after
    new = policy_of(after)
    assert [grant.id for grant in new.roles["support"].grants] == ["reads-tickets", "reads-customers"]
    assert new.roles["support"].grants[0].fields == ("ticket_id", "subject")
    customers = new.roles["support"].grants[1]
    assert (customers.fields, customers.mask) == (("customer_id", "name"), {})
    assert "delete" not in new.gates
    assert new.elevations["escalation"].agents == ("night-bot",)
    assert not any(each.widens for each in diff(policy_of(), new, LOCK, LOCK))
    for text, granted in ((POLICY, True), (after, False)):
        scope = effective_scope(policy_of(text), LOCK, session())
        assert bool(scope.resources["tickets"].deletes) is granted


def applied(folder: Path, patch: str) -> None:
    """Apply a patch as people do, by git or patch."""
    (folder / "x.patch").write_text(patch)
    program = (
        ["git", "apply", "--unsafe-paths", "x.patch"] if shutil.which("git") else ["patch", "-p1", "-i", "x.patch"]
    )
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + patch


def session(agent: str = "support-bot") -> Session:
    return Session("ses_1", agent, None, None, {}, None, NOW, NOW, None)


async def test_what_was_decided_and_is_not_in_the_policy_is_told_until_it_is(rig: Rig) -> None:
    closed = await everything(rig, await opened(rig))
    waiting = rig.reviews.status()[0].waiting
    assert waiting == ("1", "2", "3")
    rig.write((await rig.reviews.patch(closed.id)).files["policy.yaml"])
    assert "3" not in rig.reviews.status()[0].waiting


REVOKING = POLICY.replace("unused_after: 60d", "unused_after: 60d, overdue: revoke")


def deletes(rig: Rig, agent: str = "support-bot") -> bool:
    force = rig.sessions.force
    found = effective_scope(force.policy, force.lock, session(agent)).resources.get("tickets")
    return found is not None and bool(found.deletes)


async def test_overdue_grants_are_turned_off_and_come_back_when_they_are_kept(tmp_path: Path) -> None:
    rig = await make_rig(tmp_path / "gw", REVOKING)  # the gateway is new: reviews are due in 30 days
    try:
        assert deletes(rig)
        rig.clock.move(days=25)
        await rig.reviews.look()
        assert deletes(rig)
        assert [each.title for each in rig.told] == [
            "the review of support-bot is due soon",
            "the review of night-bot is due soon",
        ]
        rig.clock.move(days=6)
        await rig.reviews.look()
        assert not deletes(rig)
        assert not deletes(rig, "night-bot")
        force = rig.sessions.force
        cells = [each.verbs for each in matrix(force.policy, force.lock).cells]
        assert not any(cells)
        assert [(each.kind, each.agent) for each in rig.records()] == [
            ("review.lapsed", "night-bot"),
            ("review.lapsed", "support-bot"),
        ]
        review = await opened(rig)
        await rig.reviews.decide(review.id, line_of(review, "deletes"), "keep", "needed", ANN)
        assert deletes(rig)
        assert not deletes(rig, "night-bot")
        assert rig.records()[-1].detail["grants"] == ["deletes"]
        await rig.reviews.decide(review.id, line_of(review, "deletes"), "revoke", "not needed", ANN)
        assert not deletes(rig)
    finally:
        await rig.stop()


async def test_what_is_off_stays_off_over_a_reload_and_a_restart_and_a_review_turns_it_on(tmp_path: Path) -> None:
    rig = await make_rig(tmp_path / "gw", REVOKING)
    rig.clock.move(days=31)
    await rig.reviews.look()
    rig.write(REVOKING.replace("cleans up", "cleans it up"))
    assert not deletes(rig) or "deletes" not in rig.sessions.lapsed["support-bot"]
    assert not deletes(rig)
    await rig.stop()
    again = await make_rig(tmp_path / "gw", REVOKING, clock=rig.clock)
    try:
        assert not deletes(again)
        review = await opened(again)
        for line in review.undecided:
            await again.reviews.decide(review.id, line.id, "keep", "", ANN)
        await again.reviews.close(review.id, ANN)
        assert deletes(again)
        assert not again.reviews.status()[0].overdue
    finally:
        await again.stop()


async def test_a_policy_that_only_warns_turns_nothing_off(tmp_path: Path) -> None:
    rig = await make_rig(tmp_path / "gw")
    try:
        rig.clock.move(days=400)
        await rig.reviews.look()
        assert [each.overdue for each in rig.reviews.status()] == [True, True]
        assert deletes(rig)
        assert "its grants stay in force meanwhile" in rig.told[-1].lines
    finally:
        await rig.stop()


async def test_what_is_new_since_the_last_review_is_told(rig: Rig) -> None:
    closed = await everything(rig, await opened(rig))
    assert (closed.news, closed.gone) == ((), ())
    rig.clock.move(days=1)
    text = POLICY.replace("id: deletes, reason: cleans up", "id: deletes, reason: empties").replace(
        "      - {allow: tickets:read, id: reads-tickets, reason: answers them}\n",
        "      - {allow: tickets:create, id: opens, reason: opens some}\n"
        "      - {allow: tickets:read, reason: all of it}\n",
    )
    rig.write(text)
    await rig.reviews.look()
    review = await opened(rig)
    since = {line.subject: line.since for line in review.lines if line.kind == "grant"}
    assert (since["reads-customers"], since["deletes"], since["opens"]) == ("same", "changed", "new")
    assert review.gone == ("tickets:read, by role support: answers them",)


async def test_a_second_review_of_an_agent_waits_for_the_first(rig: Rig) -> None:
    review = await opened(rig)
    with pytest.raises(RefusedError, match=review.id):
        await opened(rig)
    with pytest.raises(RefusedError, match="a program opens no review"):
        await rig.reviews.open(["night-bot"], "nights", PROGRAM)


async def test_the_report_is_one_page_without_scripts_and_without_anything_from_elsewhere(rig: Rig) -> None:
    await everything(rig, await opened(rig))
    page = await rig.reviews.report()
    assert page.count("<svg") == 3
    assert "tickets:delete, by role support: cleans up" in page
    assert not any(each in page for each in ("<script", "http://", "https://", "src="))


def test_decide_is_not_widened_by_what_lapses() -> None:
    """An override that lapses does not bring back what it replaced; a deny never lapses."""
    text = POLICY.replace(
        "  escalation:\n    grants:",
        "  narrow:\n    inherits: [support]\n    grants:\n"
        "      - {allow: tickets:read, id: narrow, override: true, reason: less, fields: [ticket_id]}\n"
        "      - {deny: customers:read, id: never}\n"
        "  escalation:\n    grants:",
    ).replace("purpose: answers tickets, roles: [support]", "purpose: answers tickets, roles: [narrow]")
    policy = policy_of(text)
    lapsed = replace(policy, lapsed={"support-bot": frozenset({"narrow", "never"})})
    before, after = (effective_scope(each, LOCK, session()) for each in (policy, lapsed))
    assert before.id != after.id
    assert before.resources["tickets"].reads
    assert not after.resources["tickets"].reads
    assert "customers" not in after.resources or not after.resources["customers"].reads
    assert decide is not None
