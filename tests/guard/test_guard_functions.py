"""Guarded functions: what is decided, executed, shown and recorded, with the gateway in the same process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal

import pytest

from bailiwick.errors import BailiwickError, ConfigError
from bailiwick.gateway.admin_client import AdminClient
from bailiwick.gateway.wire import Json
from bailiwick.guard import Allowed, Denied, DeniedError, FunctionError, Guard
from tests.guard.conftest import App
from tests.support.canary import leaks_in_files

pytestmark = pytest.mark.xdist_group("guard")


class Till:
    """What a guarded function does for real."""

    def __init__(self) -> None:
        self.paid: list[tuple[int, object, str]] = []

    def refund(self, customer_id: int, amount: object, note: str = "") -> dict[str, object]:
        self.paid.append((customer_id, amount, note))
        return {"paid": str(amount)}


def test_what_the_grant_admits_is_executed_with_what_it_fixes(app: App) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    with app.work():
        assert refund(amount=Decimal("12.50")) == {"paid": "12.50"}  # pyright: ignore[reportCallIssue]  # it is filled in
        assert refund(7, 500, note="kind") == {"paid": "500"}
    assert till.paid == [(7, Decimal("12.50"), ""), (7, 500, "kind")]


@pytest.mark.parametrize(
    ("stop", "go", "code"),
    [
        (("mount.close", {"mount": "app"}), "mount.open", "mount_closed"),
        (("agent.suspend", {"agent": "bot"}), "agent.resume", "agent_suspended"),
    ],
)
def test_nothing_of_a_function_that_runs_is_shown_when_it_is_suspended(
    app: App, stop: tuple[str, dict[str, Json]], go: str, code: str
) -> None:
    desk = AdminClient(app.folder / ".bailiwick" / "admin.sock")

    def check(seconds: float) -> str:
        desk.ask(stop[0], {**stop[1], "reason": "tests"})
        return f"CANARY after {seconds}"

    guarded = app.guard.function(check)
    with app.work():
        try:
            for _ in range(2):
                with pytest.raises(DeniedError) as caught:
                    guarded(1)
                assert caught.value.code == code
        finally:
            desk.ask(go, dict(stop[1]))


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"customer_id": 7, "amount": 501}, "argument_not_granted"),
        ({"customer_id": 8, "amount": 5}, "argument_not_granted"),
        ({"customer_id": "7", "amount": 5}, "argument_not_granted"),
        ({"customer_id": True, "amount": 5}, "argument_not_granted"),
        ({"customer_id": 7, "amount": "5"}, "argument_not_granted"),
        ({"customer_id": 7, "amount": Decimal("500.0000000000000000000001")}, "argument_not_granted"),
        ({"customer_id": 7, "amount": float("nan")}, "argument_not_granted"),
        ({"customer_id": 7, "amount": object()}, "argument_not_granted"),
        ({"customer_id": 7}, "argument_not_granted"),
    ],
)
def test_what_no_grant_admits_is_not_executed(app: App, arguments: dict[str, object], code: str) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    with app.work(), pytest.raises(DeniedError) as caught:
        refund(**arguments)  # pyright: ignore[reportArgumentType]  # the point of it
    assert caught.value.code == code
    assert str(caught.value).startswith(f"denied ({code}): ")
    assert till.paid == []


def test_the_ledger_tells_arguments_that_the_policy_does_not_bound_as_digests(app: App) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    with app.work():
        refund(7, 499, note="CANARY_NOTE_1")
        with pytest.raises(DeniedError):
            refund(7, 499_099, note="CANARY_NOTE_2")
    assert till.paid == [(7, 499, "CANARY_NOTE_1")]
    told = [str(each["statement"]) for each in app.records() if str(each.get("statement", "")).startswith("refund ")]
    assert any('"amount":499,"customer_id":7,"note":"hmac:' in each for each in told)
    assert not [each for each in told if "CANARY_NOTE" in each or "499099" in each]


def test_a_denial_is_returned_where_that_is_asked_for(app: App) -> None:
    till = Till()
    refund = app.guard.function(name="refund", denials="return")(till.refund)
    with app.work():
        denied = refund(7, 501)
        assert isinstance(denied, Denied)
        assert denied.code == "argument_not_granted"
        assert any(each["id"] == denied.decision and each["decision"] == "deny" for each in app.records())
        assert refund(7, 1) == {"paid": "1"}


def test_without_a_session_nothing_is_called(app: App) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    with pytest.raises(DeniedError, match="session_unknown"):
        refund(7, 1)
    with app.work():
        thread = threading.Thread(target=lambda: outcome.append(_code(lambda: refund(7, 1))))
        outcome: list[str] = []
        thread.start()
        thread.join(60)
        assert outcome == ["session_unknown"]  # a bare thread inherits nothing
        refund(7, 1)
    assert len(till.paid) == 1


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except DeniedError as error:
        return error.code
    return ""


def test_a_session_of_another_guard_is_none_here(app: App) -> None:
    other = Guard(app.folder / "policy.yaml", gateway="beside", environ={})
    refund = other.function(Till().refund)
    with app.work(), pytest.raises(DeniedError, match="session_unknown"):
        refund(7, 1)


def test_a_revoked_session_calls_nothing_more(app: App) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    with app.work() as session:
        refund(7, 1)
        assert session.opened is not None
        app.guard.client.revoke(session.opened.info.id)
        with pytest.raises(DeniedError, match="session_revoked"):
            refund(7, 1)
    assert len(till.paid) == 1


def test_a_token_that_somebody_else_opened_is_used(app: App) -> None:
    till = Till()
    refund = app.guard.function(till.refund)
    opened = app.guard.client.open_session("bot", task="work", user="grace", values={"customer_id": 9})
    with app.guard.use(opened.token):
        refund(9, 1)
    with app.guard.use(opened.token + "x"), pytest.raises(DeniedError, match="session_unknown"):
        refund(9, 1)
    app.guard.client.close(opened.info.id)
    assert till.paid == [(9, 1, "")]
    assert opened.token not in repr(opened)


def test_what_revokes_a_call_that_runs_keeps_its_result(app: App) -> None:
    with app.work() as session:
        assert session.opened is not None
        name = session.opened.info.id

        @app.guard.function(name="refund")
        def refund(customer_id: int, amount: int) -> str:
            app.guard.client.revoke(name)
            return f"{customer_id} got {amount}"

        with pytest.raises(DeniedError, match="tool_changed"):
            refund(7, 1)

        @app.guard.function(name="refund")
        def refund_it(customer_id: int, amount: int, note: str = "") -> str:
            app.guard.client.revoke(name)
            return f"{customer_id} got {amount}{note}"

        with pytest.raises(DeniedError, match="session_revoked"):
            refund_it(7, 1)
    assert app.calls(name, "refund")[-2:] == [("intent", "allow", ""), ("outcome", "allow", "session_revoked")]


def test_results_are_filtered_and_masked(app: App) -> None:
    @app.guard.function
    def look_up(customer_id: int, region: str = "eu") -> dict[str, object]:
        return {"id": customer_id, "email": "ada@mail.example", "ssn": "CANARY_SSN_1", "in": region}

    @app.guard.function
    def orders(kind: str) -> dict[str, object]:
        rows = [{"customer_id": 7, "of": kind}, {"customer_id": 8, "of": "CANARY_ROW_1"}]
        return {"found": rows, "total": "CANARY_COUNT_1"}

    @app.guard.function(name="orders")
    def orders_text(kind: str) -> str:
        return '{"found": [{"customer_id": 8}, {"customer_id": 7, "of": "' + kind + '"}]}'

    with app.work():
        assert look_up() == {"id": 7, "email": "a***@mail.example", "in": "eu"}  # pyright: ignore[reportCallIssue]
        assert orders("books") == {"found": [{"customer_id": 7, "of": "books"}]}
        assert orders_text("books") == '{"found":[{"customer_id":7,"of":"books"}]}'
        with pytest.raises(DeniedError):
            look_up(customer_id=8)


def test_what_cannot_be_looked_at_is_not_shown(app: App) -> None:
    class Odd:
        text = "CANARY_ODD_1"

    @app.guard.function(unguarded=("result",))
    def orders(kind: str, result: object) -> object:
        del kind
        return result

    results: list[object] = [Odd(), {"found": Odd()}, {"other": 1}, "no JSON", None, {1: 2}]
    with app.work():
        for result in results:
            with pytest.raises(DeniedError, match="result_withheld"):
                orders("x", result)
        assert orders("x", {"found": [], "other": 1}) == {"found": []}


def test_a_whole_result_is_the_very_object(app: App) -> None:
    odd = object()

    @app.guard.function
    def send(text: str) -> object:
        del text
        return odd

    with app.work():
        with pytest.raises(DeniedError, match="needs_approval"):  # the effect `external` has a gate
            send("hello")

        @app.guard.function
        def check(seconds: float) -> object:
            del seconds
            return odd

        assert check(0) is odd


def test_ceilings_hold_what_was_really_returned(app: App) -> None:
    @app.guard.function
    def page(size: int) -> list[int]:
        return list(range(size))

    @app.guard.function(name="page")
    def text(size: int) -> str:
        return "x" * size

    with app.work():
        assert page(3) == [0, 1, 2]
        assert text(90) == "x" * 90
        with pytest.raises(DeniedError, match="rows_exceeded"):
            page(4)
        with pytest.raises(DeniedError, match="bytes_exceeded"):
            text(101)


def test_what_raises_is_on_record_and_its_words_are_not(app: App) -> None:
    @app.guard.function
    def refund(customer_id: int, amount: int, note: str = "") -> None:
        raise ValueError(f"CANARY_ERROR_{customer_id}{amount}{note}")

    @app.guard.function
    def orders(kind: str) -> None:
        raise ValueError(f"CANARY_ERROR_{kind}")

    with app.work() as session:
        with pytest.raises(ValueError, match="CANARY_ERROR_71"):  # its result would be shown whole: so is this
            refund(7, 1)
        with pytest.raises(FunctionError) as caught:
            orders("X")
        assert "CANARY" not in str(caught.value)
        assert session.opened is not None
        for name in ("refund", "orders"):
            told = app.calls(session.opened.info.id, name)
            assert told == [("intent", "allow", ""), ("outcome", "allow", "tool_error")]
    assert leaks_in_files(app.folder) == []


def test_an_intent_is_on_record_before_the_function_runs(app: App) -> None:
    seen: list[list[tuple[object, object, object]]] = []
    with app.work() as session:
        assert session.opened is not None
        name = session.opened.info.id

        @app.guard.function
        def page(size: int) -> int:
            seen.append(app.calls(name, "page"))
            return size

        page(1)
        assert seen == [[("intent", "allow", "")]]
        assert app.calls(name, "page")[1:] == [("outcome", "allow", "")]


def test_what_is_unguarded_is_neither_decided_on_nor_recorded(app: App) -> None:
    class Desk:
        def __init__(self) -> None:
            self.done: list[object] = []

        @app.guard.function(unguarded=("self", "secret"))
        def refund(self, customer_id: int, amount: int, note: str = "", *, secret: str) -> str:
            self.done.append((customer_id, amount, note, secret))
            return "done"

    desk = Desk()
    with app.work():
        assert desk.refund(7, 1, secret="CANARY_SECRET_1") == "done"
    assert desk.done == [(7, 1, "", "CANARY_SECRET_1")]
    assert leaks_in_files(app.folder) == []


def test_arguments_cannot_be_changed_between_decision_and_execution(app: App) -> None:
    class Later(dict[str, object]):
        pass

    got: list[object] = []

    @app.guard.function
    def check(seconds: object) -> None:
        got.append(seconds)

    given = [1, {"a": [2]}]
    with app.work():
        check(given)
        assert got == [given]
        assert got[0] is not given
        with pytest.raises(DeniedError, match="is no data"):
            check(Later(a=1))


async def test_coroutines_are_guarded(app: App) -> None:
    done: list[int] = []

    @app.guard.function
    async def refund(customer_id: int, amount: int, note: str = "") -> str:
        await asyncio.sleep(0)
        done.append(amount)
        return f"{customer_id}{note}"

    @app.guard.function(name="refund", denials="return")
    async def told(customer_id: int, amount: int, note: str = "") -> str:
        return await refund(customer_id, amount, note)

    async with app.work():
        assert await asyncio.gather(*(refund(7, amount) for amount in range(20))) == ["7"] * 20
        with pytest.raises(DeniedError):
            await refund(7, 501)
        assert isinstance(await told(8, 1), Denied)
        assert await told(7, 1) == "7"
    assert sorted(done) == sorted([*range(20), 1])


async def test_a_coroutine_that_takes_too_long_is_cancelled(app: App) -> None:
    cancelled: list[bool] = []

    @app.guard.function
    async def check(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    @app.guard.function
    async def slow(seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "done"

    async with app.work() as session:
        with pytest.raises(DeniedError, match="timeout_exceeded"):
            await slow(600)
        assert cancelled == [True]
        assert await check(0) == "done"
        assert session.opened is not None
        told = [code for _, _, code in app.calls(session.opened.info.id, "slow")]
        assert told == ["", "timeout_exceeded"]


def test_a_function_that_takes_too_long_runs_on_and_shows_nothing(app: App) -> None:
    done: list[str] = []

    @app.guard.function
    def slow(seconds: float) -> str:
        threading.Event().wait(seconds)
        done.append("done")
        return "CANARY_LATE_1"

    with app.work(), pytest.raises(DeniedError, match="timeout_exceeded"):
        slow(1.5)
    assert done == ["done"]


async def test_a_cancelled_call_is_on_record(app: App) -> None:
    started = asyncio.Event()

    @app.guard.function
    async def refund(customer_id: int, amount: int, note: str = "") -> None:
        del customer_id, amount, note
        started.set()
        await asyncio.sleep(600)

    async with app.work() as session:
        task = asyncio.create_task(refund(7, 1))
        await asyncio.wait_for(started.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.opened is not None
        told = app.calls(session.opened.info.id, "refund")
        assert told == [("intent", "allow", ""), ("outcome", "allow", "tool_error")]


def test_a_block_is_guarded(app: App) -> None:
    with app.work():
        with app.guard.call(
            "refund", {"amount": 5}, takes=["customer_id", "amount", "note"], reason="asked for"
        ) as call:
            assert call.arguments == {"amount": 5, "customer_id": 7}
            call.give({"paid": 5})
        assert call.shown == {"paid": 5}
        assert any(each.get("purpose") == "asked for" for each in app.records())
        with (
            pytest.raises(DeniedError),
            app.guard.call("refund", {"amount": 501}, takes=["customer_id", "amount", "note"]),
        ):
            pytest.fail("the block must not run")


def test_what_would_be_executed_later_is_not_guarded(app: App) -> None:
    with pytest.raises(ConfigError, match="generator"):

        @app.guard.function
        def orders(kind: str) -> Iterator[str]:
            yield kind

    with pytest.raises(ConfigError, match="generator"):

        @app.guard.function(name="orders")
        async def later(kind: str) -> AsyncIterator[str]:
            yield kind

    with pytest.raises(ConfigError, match=r"\*"):

        @app.guard.function(name="orders")
        def every(**kind: str) -> None:
            del kind

    with pytest.raises(ConfigError, match="no parameter `selfish`"):
        app.guard.function(unguarded=("selfish",))(Till().refund)

    ran: list[str] = []

    def steps(note: str) -> Iterator[str]:
        ran.append(note)
        yield note

    @app.guard.function
    def refund(customer_id: int, amount: int, note: str = "") -> Iterator[str]:
        return steps(f"{customer_id}{amount}{note}")

    async def coroutine() -> None:
        ran.append("coroutine")

    @app.guard.function(name="refund")
    def awaited(customer_id: int, amount: int, note: str = "") -> object:
        del customer_id, amount, note
        return coroutine()

    with app.work():
        for each in (refund, awaited):
            with pytest.raises(DeniedError, match="result_withheld"):
                each(7, 1)
    assert ran == []


def test_questions_are_answered_without_doing_anything(app: App) -> None:
    with app.work() as session:
        assert session.decide("refund", {"amount": 5}) == Allowed({"amount": 5, "customer_id": 7})
        denied = session.decide("refund", {"amount": 501})
        assert isinstance(denied, Denied)
        assert denied.code == "argument_not_granted"
        unknown = session.decide("drop_tables", {})
        assert isinstance(unknown, Denied)
        assert unknown.code == "resource_unknown"
        assert session.opened is not None
        own = [each for each in app.records() if each.get("session") == session.opened.info.id]
        assert {each["kind"] for each in own} == {"session.opened", "connection.opened"}
        told = {each.name: each.schema for each in session.functions({"refund": _REFUND})}
        properties = told["refund"]["properties"]
        assert properties == {"amount": {"type": "number", "maximum": 500}, "note": {"type": "string"}}
        assert set(told) == {"refund", "send", "look_up", "orders", "page", "slow", "check"}


_REFUND: dict[str, Json] = {
    "type": "object",
    "properties": {
        "customer_id": {"type": "integer"},
        "amount": {"type": "number"},
        "note": {"type": "string"},
        "secret": {"type": "string"},
    },
    "required": ["customer_id", "amount"],
}


def test_the_client_tells_of_sessions(app: App) -> None:
    client = app.guard.client
    opened = client.open_session("bot", task="work", user="grace", values={"customer_id": 7})
    assert opened.info.agent == "bot"
    assert any(line.startswith("calls refund") for line in opened.may)
    assert client.permissions(opened.info.id) == opened.may
    assert client.session(opened.info.id).state == "OPEN"
    assert opened.info.id in {each.id for each in client.sessions()}
    client.close(opened.info.id)
    assert client.session(opened.info.id).state == "CLOSED"
    assert opened.info.id in {each.id for each in client.sessions(ended=True)}
    with pytest.raises(BailiwickError):
        client.open_session("nobody")
    idle = client.open_session("idler")
    assert client.functions(idle.token) == ()
    client.close(idle.info.id)
