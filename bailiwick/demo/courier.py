"""A function of the desk's own application, guarded: it has no server in front, and the gateway decides it too."""

from __future__ import annotations

from pathlib import Path

from bailiwick.demo.agent import Outcome
from bailiwick.demo.steps import Done, Refused, Step
from bailiwick.guard import DeniedError, Guard


async def book_courier(customer_id: int, day: str) -> str:
    """Book a courier who brings the new pair."""
    return f"a courier for customer {customer_id} on {day}"


class Courier:
    """The application, in the name of one session. To be made in a thread: it waits for the gateway to answer."""

    def __init__(self, policy: Path, token: str) -> None:
        guard = Guard(policy, gateway="beside", environ={}).__enter__()  # nothing is kept open that had to be closed
        self._session = guard.use(token)
        self._book = guard.function(book_courier)

    async def perform(self, step: Step) -> Outcome:
        """Do one step: call the function with what the agent gave."""
        try:
            with self._session:
                return Outcome(Done(await self._book(**step.given)))  # pyright: ignore[reportArgumentType]  # the agent's
        except DeniedError as error:
            denial = error.denied.denial
            told = (denial.message, denial.remedy, denial.allowed, error.denied.decision)
            return Outcome(Refused(denial.code), (), *told)
