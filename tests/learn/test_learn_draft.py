"""What is learned from a support desk's sessions: each generalisation, and where it stops."""

from __future__ import annotations

from dataclasses import replace

from learn_world import AGENT, call, called, covered, customer, enforced, grant, learned, read, seen, update, written

from bailiwick.learn.draft import Draft
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, OneOf
from bailiwick.model.observation import Argument, Observation, Origin
from bailiwick.model.value import Ref

CUSTOMER = Equal(Ref(("customer_id",)))


def desk(sessions: int = 60) -> list[Observation]:
    found: list[Observation] = []
    for n in range(sessions):
        found.append(read(n, "tickets", "body", "status", customer_id=customer(n)))
        found.append(update(n, "tickets", {"status": ("open", "closed")[n % 2]}, customer_id=customer(n)))
        found.append(call(n, "refund", customer_id=customer(n), amount=5 + (n * 7) % 90, currency="EUR"))
    return found


def denied(draft: Draft, *calls: Observation) -> list[bool]:
    cover = covered(draft)
    return [bool(cover.denied(each, each.values)) for each in calls]


def test_columns_and_verbs_are_those_that_were_used() -> None:
    draft = learned(desk())
    assert {str(each.action) for each in draft.grants} == {"tickets:read", "tickets:update", "billing:refund"}
    assert grant(draft, "tickets:read").fields == ("body", "customer_id", "status")
    assert grant(draft, "tickets:update").fields == ("status",)
    near = read(5, "tickets", "body", customer_id=customer(5))
    far = read(5, "tickets", "priority", customer_id=customer(5))
    assert denied(draft, near, far) == [False, True]


def test_rows_are_those_of_the_session() -> None:
    draft = learned(desk())
    assert grant(draft, "tickets:read").rows == {"customer_id": CUSTOMER}
    assert grant(draft, "tickets:update").rows == {"customer_id": CUSTOMER}
    mine = read(5, "tickets", "body", customer_id=customer(5))
    theirs = read(5, "tickets", "body", customer_id=customer(6))
    assert denied(draft, mine, theirs) == [False, True]


def test_what_rows_held_shows_whose_they_were() -> None:
    observed = [
        read(n, "tickets", "body", ticket_id=n * 31 % 60, holds={"customer_id": customer(n)}) for n in range(30)
    ]
    assert grant(learned(observed), "tickets:read").rows == {"customer_id": CUSTOMER}


def test_rows_of_everybody_have_no_filter() -> None:
    observed = [read(n, "tickets", "body", customer_id=customer(n * 17 % 30)) for n in range(30)]
    assert grant(learned(observed), "tickets:read").rows == {}


def test_arguments_become_a_value_a_list_a_range_or_stay_free() -> None:
    given = grant(learned(desk(120)), "billing:refund").args
    assert given is not None
    assert given["customer_id"] == CUSTOMER
    assert given["currency"] == Equal("EUR")
    amount = given["amount"]
    assert isinstance(amount, Bound)
    assert amount.over == 0
    assert isinstance(amount.max, int)
    assert 94 <= amount.max <= 200
    words = [call(n, "search", query=f"question {n} of many", limit=(5, 10)[n % 2]) for n in range(120)]
    free = grant(learned(words), "articles:search").args
    assert free is not None
    assert free["query"] == Anything()
    assert free["limit"] == OneOf((10, 5)) or free["limit"] == OneOf((5, 10))


def test_the_range_holds_what_is_near_and_refuses_what_is_far() -> None:
    draft = learned(desk(120))
    near = call(5, "refund", customer_id=customer(5), amount=96, currency="EUR")
    far = call(5, "refund", customer_id=customer(5), amount=9600, currency="EUR")
    theirs = call(5, "refund", customer_id=customer(6), amount=50, currency="EUR")
    assert denied(draft, near, far, theirs) == [False, True, True]


def test_a_bounded_argument_may_be_left_out_where_it_was() -> None:
    observed = [
        call(n, "search", query=f"question {n} of many", limit=(5, 10)[n % 2])
        if n % 3
        else call(n, "search", query=f"question {n} of many")
        for n in range(120)
    ]
    draft = learned(observed)
    limits = [each.args["limit"] for each in draft.grants if each.args is not None]
    assert Empty(True) in limits
    without, within, beyond = call(3, "search", query="x"), call(4, "search", query="x", limit=5), 5000
    assert denied(draft, without, within, call(4, "search", query="x", limit=beyond)) == [False, False, True]


def test_elements_of_lists_are_listed_by_a_condition() -> None:
    observed = [call(n, "search", query=f"question {n} of many", tags=["shop", "faq"][: 1 + n % 2]) for n in range(120)]
    draft = learned(observed)
    inside, outside = call(4, "search", query="x", tags=["faq"]), call(4, "search", query="x", tags=["faq", "secret"])
    assert denied(draft, inside, outside) == [False, True]


def test_of_few_values_those_that_vary_are_open_and_receivers_stay_listed() -> None:
    observed = [call(n, "send", recipient=f"r{n}", order_id="17", label=f"l{n}") for n in range(2)]
    observed += [call(n, "send", recipient=f"r{n}", order_id="17", label="l0", password="CANARY_PW") for n in range(2)]
    observed += [call(2, "forward", recipient="r7", label="one")]
    draft = learned(observed)
    send, forward = grant(draft, "mail:send").args, grant(draft, "mail:forward").args
    assert send is not None
    assert forward is not None
    assert send["order_id"] == Anything()  # the same twice, and it names one order of many
    assert send["recipient"] == OneOf(("r0", "r1", "r7"))  # other tools of the mount took the last one
    assert send["label"] == Anything()
    assert forward["label"] == Anything()  # once alone; of all tools together it is ever new
    assert "is `recipient` always" in written(draft)
    assert "CANARY_PW" not in written(draft)
    assert denied(
        draft, call(3, "forward", recipient="r1", label="new"), call(3, "forward", recipient="evil", label="new")
    ) == [False, True]


def test_where_values_came_from_opens_an_argument_but_not_of_what_cannot_be_undone() -> None:
    said = Origin("prompt")
    one = replace(seen("shop"), origin=said)
    wiped = [called(0, "wipe", Argument("slug", one))]
    assert grant(learned(wiped), "articles:wipe").args == {"slug": Equal("shop")}
    asked = [called(0, "refund", Argument("currency", one))]
    assert grant(learned(asked), "billing:refund").args == {"currency": Anything()}
    assert grant(learned([call(0, "refund", currency="EUR")]), "billing:refund").args == {"currency": Equal("EUR")}


def test_sensitive_columns_that_are_only_counted_are_masked() -> None:
    observed = [read(n, "customers", "name", counted=["email"], customer_id=customer(n)) for n in range(30)]
    found = grant(learned(observed), "customers:read")
    assert found.mask == {"email": Mask("hash")}
    clear = [*observed, *(read(n, "customers", "email", customer_id=customer(n)) for n in range(5))]
    assert grant(learned(clear), "customers:read").mask == {}


def test_restricted_columns_were_seen_as_hashes_and_stay_so() -> None:
    observed = [read(n, "customers", "name", "ssn", "email", customer_id=customer(n)) for n in range(30)]
    draft = learned(observed)
    assert grant(draft, "customers:read").mask == {"ssn": Mask("hash")}
    assert any("`customers.ssn` is restricted" in each.text for each in draft.questions)
    loosened = "gates: {restricted: {loosen: ['customers:read:ssn'], reason: made-up data}}\n"
    assert grant(learned(observed, loosened), "customers:read").mask == {}


def test_a_few_who_go_beyond_the_session_in_a_rare_deed_are_kept_out() -> None:
    """One in fifty sessions, though they are a third of those that do it at all."""
    often = [read(n, "tickets", "body", customer_id=customer(n)) for n in range(500)]
    mine = [read(n, "customers", "name", customer_id=customer(n)) for n in range(0, 85, 5)]
    theirs = [read(n, "customers", "name", customer_id=customer(n + 200)) for n in range(101, 141, 5)]
    assert grant(learned(often + mine + theirs), "customers:read").rows == {"customer_id": CUSTOMER}
    half = [read(n, "customers", "name", customer_id=customer(n + 200)) for n in range(101, 186, 5)]
    assert grant(learned(often + mine + half), "customers:read").rows == {}, "of as many nobody can say"


def test_sensitive_columns_that_nobody_needed_are_denied() -> None:
    observed = [read(n, "customers", "name", customer_id=customer(n)) for n in range(30)]
    draft = learned(observed)
    assert {each.column for each in draft.never} == {"email", "ssn"}
    assert 'deny: "customers:*", fields: [email, ssn]' in written(draft)
    enforced(draft)


def test_one_session_that_does_what_none_else_does_is_kept_out_and_shown() -> None:
    ordinary = desk()
    poisoned = [
        *desk(),
        read(61, "customers", "ssn", customer_id=customer(3)),
        call(62, "wipe", slug="everything"),
        call(63, "refund", customer_id=customer(1), amount=5, currency="EUR"),
        call(64, "refund", customer_id=customer(64), amount=90000, currency="EUR"),
    ]
    draft = learned(poisoned)
    assert {each.session for each in draft.kept_out} == {"ses_61", "ses_62", "ses_63", "ses_64"}
    assert [replace(each, lines=()) for each in draft.grants] == [
        replace(each, lines=()) for each in learned(ordinary).grants
    ]
    assert "# Kept out: session ses_62" in written(draft)
    assert "wipe: no other session did (1 session): is it needed?" in written(draft)


def test_what_several_sessions_do_is_no_anomaly() -> None:
    observed = [*desk(), *(call(n, "wipe", slug=f"old-{n}") for n in range(61, 66))]
    assert "articles:wipe" in {str(each.action) for each in learned(observed).grants}


def test_what_was_denied_or_failed_teaches_nothing() -> None:
    refused = [replace(call(n, "wipe", slug="x"), decision="deny") for n in range(20)]
    failed = [replace(call(n, "wipe", slug="x"), code="42501") for n in range(20)]
    draft = learned([*desk(), *refused, *failed])
    assert "articles:wipe" not in {str(each.action) for each in draft.grants}
    assert draft.refused == 40


def test_unmapped_things_are_asked_for_and_not_granted() -> None:
    observed = [*desk(), *(call(n, "unknown_tool", x=1) for n in range(20))]
    draft = learned(observed)
    assert any("unknown_tool" in each.text for each in draft.questions)
    assert "unknown_tool" not in written(draft).partition("roles:")[2].partition("# Questions")[0]


def test_two_jobs_become_two_tasks() -> None:
    first = [read(n, "tickets", "body", customer_id=customer(n)) for n in range(40)]
    second = [call(n, "search", query=f"question {n} of many") for n in range(40, 80)]
    draft = learned([*first, *second])
    assert {tuple(each.verbs) for each in draft.jobs} == {("tickets",), ("articles",)}


def test_sessions_say_which_task_they_are() -> None:
    tasks = ("answer", "close")
    observed = [replace(each, task=tasks[int(each.session[4:]) % 2]) for each in desk()]
    draft = learned(observed)
    assert [each.name for each in draft.jobs] == ["answer", "close"]
    cover = covered(draft)
    assert not any(cover.denied(each, each.values) for each in observed)


def test_digests_are_lined_up_with_the_session_too() -> None:
    observed: list[Observation] = []
    for n in range(30):
        one = call(n, "refund", customer_id=customer(n), amount=5, currency="EUR")
        assert one.tool is not None
        hidden = replace(seen(0), type="string", value=None, digest=f"d{n}")
        arguments = (replace(one.tool.arguments[0], value=hidden), *one.tool.arguments[1:])
        values = {"customer_id": replace(seen(customer(n)), digest=f"d{n}")}
        observed.append(replace(one, values=values, tool=replace(one.tool, arguments=arguments)))
    given = grant(learned(observed), "billing:refund").args
    assert given is not None
    assert given["customer_id"] == CUSTOMER


def test_nothing_seen_grants_nothing() -> None:
    draft = learned([])
    assert not draft.grants
    assert AGENT in enforced(draft).agents
