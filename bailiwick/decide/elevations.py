"""Elevations: what may be asked for, and what one that was granted still gives. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from bailiwick.decide.denials import quoted
from bailiwick.model.decision import Denial
from bailiwick.model.elevation import Elevation
from bailiwick.model.policy import ElevationRule, Policy
from bailiwick.model.session import Session

longest_reason = 1000


def check_request(policy: Policy, agent: str, name: str, span: timedelta, reason: str) -> ElevationRule | Denial:
    """Return the rule by which an agent may have what is asked for; or why it may not even be asked for.

    One that is for others looks like one that there is not.
    """
    known = {each.name: each for each in policy.elevations.values() if agent in each.agents}
    rule = known.get(name)
    if rule is None:
        allowed = ", ".join(map(quoted, known)) or ""
        message = f"agent {quoted(agent)} has no elevation {quoted(name[:100])}"
        remedy = "ask for one of those" if known else "nothing can be asked for"
        return Denial("elevation_unknown", message, allowed, remedy)
    if not timedelta(seconds=1) <= span <= rule.max:
        longest = int(rule.max.total_seconds())
        message = f"elevation {quoted(name)} is granted for at most {longest} s"
        return Denial("elevation_too_long", message, f"1 to {longest} s", "ask for less time")
    if not reason.strip() or len(reason) > longest_reason:
        message = f"an elevation needs a reason, of at most {longest_reason} characters"
        return Denial("elevation_unknown", message, remedy="say what it is for")
    return rule


def end_of(elevation: Elevation, policy: Policy) -> datetime | None:
    """Return until when a policy lets an elevation last; None: it gives nothing under this one."""
    rule = policy.elevations.get(elevation.name)
    if rule is None or elevation.agent not in rule.agents or rule.role not in policy.roles:
        return None
    return min(elevation.ends_at, elevation.granted_at + rule.max)


def reaches(elevation: Elevation, session: Session) -> bool:
    """Return whether an elevation is for a session. Those that were delegated by it are others."""
    return elevation.agent == session.agent and elevation.session in ("", session.id)
