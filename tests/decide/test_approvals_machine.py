"""The state machine of approvals: no path from held to run without the verdicts that are asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.approvals import (
    Act,
    Answer,
    Approve,
    Ask,
    Begin,
    Delegate,
    Finish,
    Modify,
    Refuse,
    Restore,
    Withdraw,
    as_of,
    seated,
    serves,
    step,
    terms_of,
)
from bailiwick.model.approval import Approval, Need, Previewed, Requester, Reviewer, Subject, Terms
from bailiwick.model.decision import Denial
from bailiwick.model.policy import ApproverGroup, Gate, Policy

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PEOPLE = tuple(
    Reviewer(name, frozenset(groups), START)
    for name, groups in (
        ("ann", ["finance"]),
        ("bob", ["finance", "legal"]),
        ("cy", ["legal"]),
        ("dora", ["board"]),
        ("eve", ["finance", "legal", "board"]),
    )
)
PROGRAM = Reviewer("client robot", frozenset({"finance", "legal"}), means="client")
ROOT = Reviewer("local:root", means="local", everywhere=True)


def subject(digest: str = "d0") -> Subject:
    return Subject("call", "desk", "refund", "{}", digest)


def waiting(*needs: Need, reauth: timedelta | None = None, mode: str = "wait") -> Approval:
    terms = Terms(
        needs or (Need("g", ("finance",)),), 4 * HOUR, HOUR, reauth, "execute" if mode == "execute" else "wait"
    )
    who = Requester("ses_1", "bot", "eve", barred=("eve",))
    return Approval("apr_1", subject(), who, terms, "p", ("billing:refund",), (), "", START, START + 4 * HOUR)


def after(found: Approval | Denial) -> Approval:
    assert not isinstance(found, Denial), found.message
    return found


def code(found: Approval | Denial) -> str:
    assert isinstance(found, Denial)
    return found.code


def run(approval: Approval, *acts: Act, at: datetime = START) -> Approval:
    for act in acts:
        approval = after(step(approval, act, at))
    return approval


people = st.sampled_from((*PEOPLE, PROGRAM, ROOT))
digests = st.sampled_from(("d0", "d1", "d2"))
groups = st.lists(st.sampled_from(("finance", "legal", "board")), max_size=2, unique=True).map(tuple)
acts: st.SearchStrategy[Act] = st.one_of(
    st.builds(Approve, people, digests),
    st.builds(Refuse, people, st.just("no")),
    st.builds(Modify, people, digests, digests.map(subject), st.just(Previewed())),
    st.builds(Delegate, people, groups),
    st.builds(Ask, people, st.just("why?")),
    st.builds(Answer, st.sampled_from(("ses_1", "ses_2")), st.just("so")),
    st.builds(Withdraw, st.just("over"), st.booleans()),
    st.builds(Begin, st.sampled_from(("ses_1", "ses_2")), digests),
    st.builds(Finish, st.sampled_from(("", "XX000"))),
    st.builds(Restore, st.just("rolled back")),
)
needs = st.lists(
    st.builds(
        Need,
        st.just("?"),
        groups,
        st.integers(1, 3),
        st.none() | st.just(HOUR),
        st.just(("board",)),
    ),
    min_size=1,
    max_size=3,
).map(lambda found: tuple(replace(each, gate=f"g{number}") for number, each in enumerate(found)))
histories = st.lists(st.tuples(acts, st.integers(0, 50)), max_size=30)


@given(needs, histories, st.sampled_from(("wait", "execute")), st.none() | st.just(timedelta(minutes=90)))
def test_nothing_runs_but_what_was_approved_by_enough_of_those_who_may(
    wanted: tuple[Need, ...], history: list[tuple[Act, int]], mode: str, reauth: timedelta | None
) -> None:
    approval = waiting(*wanted, mode=mode, reauth=reauth)
    now = START
    votes: dict[str, set[str]] = {}
    begun = 0
    for act, minutes in history:
        now += timedelta(minutes=minutes)
        before = as_of(approval, now)
        found = step(approval, act, now)
        if isinstance(found, Denial):
            continue
        if isinstance(act, Modify):
            votes = {}
        if isinstance(act, Approve):
            assert act.by.means != "client"
            assert act.by.name != "eve"
            assert act.digest == before.subject.digest
            if reauth is not None and act.by.means != "local":
                assert now - START <= reauth
            for need in before.terms.needs:
                if serves(act.by, need):
                    votes.setdefault(need.gate, set()).add(act.by.name)
        if isinstance(act, Begin):
            begun += 1
            assert before.state == "APPROVED"
            assert act.session == "ses_1"
            assert act.digest == before.subject.digest
            assert now < before.expires_at
            assert all(len(votes.get(need.gate, ())) >= need.quorum for need in before.terms.needs)
            assert begun == 1
        if isinstance(act, Restore):
            begun -= 1
        if before.over:
            raise AssertionError(f"{before.state} moved to {found.state}")
        assert found.steps[: len(approval.steps)] == approval.steps
        assert len(found.steps) > len(approval.steps)
        approval = found


@given(histories)
def test_a_denial_an_expiry_and_a_withdrawal_are_final(history: list[tuple[Act, int]]) -> None:
    for ended in (
        run(waiting(), Refuse(PEOPLE[0], "no")),
        as_of(waiting(), START + 4 * HOUR),
        run(waiting(), Approve(PEOPLE[0], "d0"), Withdraw("its session has ended")),
    ):
        assert ended.over
        for act, minutes in history:
            assert isinstance(step(ended, act, START + timedelta(minutes=minutes)), Denial)


def test_the_last_moment_is_too_late() -> None:
    end = START + 4 * HOUR
    assert code(step(waiting(), Approve(PEOPLE[0], "d0"), end)) == "approval_expired"
    early = after(step(waiting(), Approve(PEOPLE[0], "d0"), end - timedelta(microseconds=1)))
    assert early.state == "APPROVED"
    assert early.expires_at == end - timedelta(microseconds=1) + HOUR
    assert code(step(early, Begin("ses_1", "d0"), early.expires_at)) == "approval_expired"
    assert after(step(early, Begin("ses_1", "d0"), end)).state == "RUNNING"


def test_it_runs_once_and_again_only_after_it_was_rolled_back() -> None:
    running = run(waiting(), Approve(PEOPLE[0], "d0"), Begin("ses_1", "d0"))
    assert code(step(running, Begin("ses_1", "d0"), START)) == "approval_closed"
    done = run(running, Finish())
    assert (done.state, code(step(done, Restore("no"), START))) == ("EXECUTED", "approval_closed")
    assert run(running, Restore("rolled back"), Begin("ses_1", "d0"), Finish("40001")).state == "FAILED"


def test_who_asks_does_not_approve_however_the_name_is_written() -> None:
    for name in ("eve", "Eve", " EVE "):
        asker = Reviewer(name, frozenset({"finance"}), START)
        assert code(step(waiting(), Approve(asker, "d0"), START)) == "approval_not_yours"
    assert code(step(waiting(), Approve(replace(PEOPLE[0], groups=frozenset({"legal"})), "d0"), START)) == (
        "approval_not_yours"
    )
    assert run(waiting(), Approve(PEOPLE[0], "d0")).state == "APPROVED"


def test_a_quorum_is_of_different_people() -> None:
    two = waiting(Need("g", ("finance",), 2))
    once = run(two, Approve(PEOPLE[0], "d0"))
    assert (once.state, code(step(once, Approve(PEOPLE[0], "d0"), START))) == ("PENDING", "approval_not_yours")
    assert run(once, Approve(PEOPLE[1], "d0")).state == "APPROVED"


def test_each_gate_is_opened_by_its_own_people() -> None:
    both = waiting(Need("money", ("finance",)), Need("paper", ("legal",)))
    assert run(both, Approve(PEOPLE[0], "d0")).state == "PENDING"
    assert run(both, Approve(PEOPLE[0], "d0"), Approve(PEOPLE[2], "d0")).state == "APPROVED"
    assert run(both, Approve(PEOPLE[1], "d0")).state == "APPROVED"


def test_a_modified_request_is_approved_anew() -> None:
    two = run(waiting(Need("g", ("finance",), 2)), Approve(PEOPLE[0], "d0"))
    changed = run(two, Modify(PEOPLE[1], "d0", subject("d1"), Previewed(3)))
    assert (changed.state, changed.subject.digest, changed.previewed.rows) == ("PENDING", "d1", 3)
    assert code(step(changed, Approve(PEOPLE[0], "d0"), START)) == "approval_changed"
    assert run(changed, Approve(PEOPLE[1], "d1")).state == "PENDING"
    assert run(changed, Approve(PEOPLE[1], "d1"), Approve(PEOPLE[0], "d1")).state == "APPROVED"
    back = run(changed, Modify(PEOPLE[1], "d1", subject("d0"), Previewed()))
    assert run(back, Approve(PEOPLE[1], "d0")).state == "PENDING"


def test_it_escalates_in_time_and_can_be_delegated() -> None:
    escalating = waiting(Need("g", ("finance",), 1, HOUR, ("board",)))
    assert code(step(escalating, Approve(PEOPLE[3], "d0"), START)) == "approval_not_yours"
    assert after(step(escalating, Approve(PEOPLE[3], "d0"), START + HOUR)).state == "APPROVED"
    handed = run(waiting(), Delegate(PEOPLE[0], ("legal",)))
    assert code(step(handed, Approve(PEOPLE[0], "d0"), START)) == "approval_not_yours"
    assert run(handed, Approve(PEOPLE[2], "d0")).state == "APPROVED"


def test_a_gate_that_asks_for_a_fresh_login_gets_one() -> None:
    strict = waiting(reauth=timedelta(minutes=10))
    late = START + timedelta(minutes=11)
    assert code(step(strict, Approve(PEOPLE[0], "d0"), late)) == "reauthentication_needed"
    unknown = replace(PEOPLE[0], authenticated_at=None)
    assert code(step(strict, Approve(unknown, "d0"), START)) == "reauthentication_needed"
    assert after(step(strict, Approve(replace(PEOPLE[0], authenticated_at=late), "d0"), late)).state == "APPROVED"


def test_what_the_gateway_runs_itself_outlives_its_session_but_no_revocation() -> None:
    for mode, ended in (("wait", "WITHDRAWN"), ("execute", "PENDING")):
        found = step(waiting(mode=mode), Withdraw("over"), START)
        assert (found.state if isinstance(found, Approval) else "PENDING") == ended
        assert run(waiting(mode=mode), Withdraw("revoked", revoked=True)).state == "WITHDRAWN"


def test_groups_are_those_of_the_policy_and_else_of_the_issuer() -> None:
    approvers = {"finance": ApproverGroup("finance", ("ann",), ("treasury",))}
    seats = {
        each.name: seated(each, approvers, local=True).groups
        for each in (*PEOPLE, Reviewer("zoe", frozenset({"treasury"})))
    }
    assert "finance" in seats["ann"] & seats["zoe"]
    assert "finance" not in seats["bob"]  # the issuer's group of that name is hidden by the policy's
    assert "legal" in seats["bob"]
    assert seated(ROOT, approvers, local=True).everywhere
    assert not seated(ROOT, approvers, local=False).everywhere
    assert not serves(seated(ROOT, approvers, local=False), Need("delete"))
    assert serves(PEOPLE[0], Need("delete"))


def test_the_strictest_terms_of_all_gates_count() -> None:
    gates = {
        "a": Gate("a", approvers=("finance",), expires=HOUR, mode="execute", quorum=2),
        "b": Gate("b", approvers=("legal",), reauth=HOUR),
    }
    policy = Policy("", {}, {}, {}, {}, gates)
    terms = terms_of(policy, ("a", "b", "delete"))
    assert (terms.expires, terms.reauth, terms.mode) == (HOUR, HOUR, "wait")
    assert [(need.gate, need.groups, need.quorum) for need in terms.needs] == [
        ("a", ("finance",), 2),
        ("b", ("legal",), 1),
        ("delete", (), 1),
    ]
    assert terms_of(policy, ("a",)).mode == "execute"
