"""The policy in force: one policy with its lock, and what it makes of each session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bailiwick.decide.budgets import of_session
from bailiwick.decide.decide import DecisionTable
from bailiwick.decide.roles import lent_grants
from bailiwick.decide.scope import effective_scope
from bailiwick.gateway.sessions.live import Terms
from bailiwick.model.elevation import Elevation
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Policy, Users
from bailiwick.model.session import Session, User

_most_scopes = 1000
"""Scopes that are kept for sessions to come."""


class Force:
    """A policy and its lock, both fixed. Scopes are shared by all sessions whose scope has the same id."""

    def __init__(self, policy: Policy, lock: Lock) -> None:
        self.policy = policy
        self.lock = lock
        self._by_id: dict[str, DecisionTable] = {}
        self._by_shape: dict[tuple[str, str | None], DecisionTable] = {}
        self._shapes = not any(grant.when for role in policy.roles.values() for grant in role.grants)

    def without(self, lapsed: Mapping[str, frozenset[str]]) -> Force:
        """Return what is in force while these grants are turned off: agent → their ids."""
        if lapsed == self.policy.lapsed:
            return self
        return Force(replace(self.policy, lapsed=lapsed), self.lock)

    def terms(self, session: Session, elevations: Sequence[Elevation] = (), lapses: datetime | None = None) -> Terms:
        """Return what holds for the session, with these elevations, the first of which ends at `lapses`.

        Call `gone` first: an agent that vanished may do nothing."""
        agent = self.policy.agents.get(session.agent)
        rules = None if agent is None else agent.session
        spans = [span for span in (session.idle, None if rules is None else rules.idle) if span is not None]
        idle: timedelta | None = min(spans) if spans else None
        lent: dict[str, str] = {}
        for each in elevations:
            lent |= dict.fromkeys(lent_grants(self.policy, session.agent, each.name), each.id)
        elevated = replace(session, elevated=tuple(sorted({each.name for each in elevations})))
        hours = None if rules is None else rules.hours
        budgets = of_session(self.policy, elevated)
        return Terms(self.table(elevated), hours, idle, budgets, lent, lapses)

    def table(self, session: Session) -> DecisionTable:
        """Return what decides the session's requests, with its effective scope.

        Without `when` that depends on agent and task alone, and is computed once.
        """
        shape = (session.agent, session.task)
        if self._shapes and session.asked is None and session.parent is None and not (session.own or session.elevated):
            known = self._by_shape.get(shape)
            if known is None:
                known = self._by_shape[shape] = self._computed(session)
            return known
        return self._computed(session)

    def gone(self, session: Session) -> str:
        """Return why the policy no longer knows such a session; empty when it does."""
        if session.agent not in self.policy.agents:
            return f"the policy has no agent `{session.agent}`"
        if session.task is not None:
            task = self.policy.tasks.get(session.task)
            if task is None:
                return f"the policy has no task `{session.task}`"
            if session.agent not in task.agents:
                return f"the task `{session.task}` is no longer for the agent `{session.agent}`"
            if task.users is not None and not _for_whom(task.users, session.user):
                return f"the task `{session.task}` is no longer done for this user"
        return "" if session.parent is None else self.gone(session.parent)

    def _computed(self, session: Session) -> DecisionTable:
        scope = effective_scope(self.policy, self.lock, session)
        known = self._by_id.get(scope.id)
        if known is None:
            if len(self._by_id) >= _most_scopes:  # agents may ask for ever other ones
                self._by_id.clear()
            known = self._by_id[scope.id] = DecisionTable(self.policy, scope)
        return known


def _for_whom(users: Users, user: User | None) -> bool:
    return user is not None and (user.id in users.ids or bool(user.groups & users.groups))
