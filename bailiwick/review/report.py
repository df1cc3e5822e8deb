"""The report for those who look after all agents: how grants are used and reviewed, as one page. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from bailiwick.gateway.reports.charts import Bar, Cell, bars, grid
from bailiwick.gateway.reports.page import Block, Figure, Page, Section, Table, Words, html
from bailiwick.model.policy import Policy
from bailiwick.model.review import Review, Use
from bailiwick.review.due import Standing
from bailiwick.review.lines import grant_in_words, held_by
from bailiwick.review.usage import Usage, together

_most_rows = 40
_most_columns = 24


def report(
    policy: Policy,
    usage: Usage,
    standings: Sequence[Standing],
    reviews: Sequence[Review],
    since: datetime,
    now: datetime,
) -> str:
    """Return the page."""
    before = now - policy.review.unused_after if policy.review is not None else since
    held = {
        agent: {grant.id: together([usage.grants[agent, grant.id]]) for grant in held_by(policy, agent)}
        for agent in policy.agents
    }
    idle = [
        (agent, name, use) for agent, grants in held.items() for name, use in grants.items() if not _recent(use, before)
    ]
    overdue = sum(each.overdue for each in standings)
    figures = (
        ("agents", f"{len(policy.agents)}"),
        ("grants", f"{sum(map(len, held.values()))}"),
        ("of them unused", f"{len(idle)}"),
        ("reviews overdue", f"{overdue}"),
        ("grants turned off", f"{sum(len(each.off) for each in standings)}"),
    )
    sections = (
        Section("Reviews", _reviews(standings)),
        Section("Grants used, by agent", _used(held, before)),
        Section("Grants that nobody used", _idle(policy, usage, idle, before)),
        Section("What agents did", (_map(policy, usage),)),
        Section("Denials", (_denied(usage),)),
        Section("What reviews decided", (_verdicts(reviews),)),
    )
    about = f"use from {since.date()} to {now.strftime('%Y-%m-%d %H:%M')} UTC; policy {policy.version[:12]}"
    return html(Page("What agents may do, and what they use", about, figures, sections))


def _recent(use: Use, before: datetime) -> bool:
    return use.last is not None and use.last >= before


def _reviews(standings: Sequence[Standing]) -> Sequence[Block]:
    rows = [
        (
            each.agent,
            each.owner,
            f"{each.last.closed_at.date()}" if each.last is not None and each.last.closed_at is not None else "never",
            f"overdue since {each.due_at.date()}" if each.overdue else f"{each.due_at.date()}",
            each.open.id if each.open is not None else "",
            f"{len(each.off)}",
            ", ".join(each.waiting),
        )
        for each in standings
    ]
    headers = ("agent", "owner", "reviewed", "due", "open", "turned off", "lines not yet in the policy")
    return (Table(headers, rows),) if rows else (Words("The policy asks for no reviews."),)


def _used(held: dict[str, dict[str, Use]], before: datetime) -> Sequence[Block]:
    rows: list[Bar] = []
    for agent, grants in sorted(held.items()):
        used = sum(_recent(use, before) for use in grants.values())
        share = used / len(grants) if grants else 1.0
        rows.append(Bar(agent, share, "good" if share == 1 else "warn", f"{used} of {len(grants)}"))
    return (Figure(bars(rows, "share of each agent's grants that were used"), "share of grants that were used"),)


def _idle(policy: Policy, usage: Usage, idle: Sequence[tuple[str, str, Use]], before: datetime) -> Sequence[Block]:
    words = {grant.id: grant_in_words(grant) for role in policy.roles.values() for grant in role.grants}
    rows = [
        (
            agent,
            words[name],
            f"{use.last.date()}" if use.last is not None else "never",
            f"{usage.days((agent,), before)}",
        )
        for agent, name, use in idle
    ]
    if not rows:
        return (Words("There are none."),)
    return (Table(("agent", "grant", "last used", "days on which the agent ran since"), rows),)


def _map(policy: Policy, usage: Usage) -> Block:
    """Return the map of agents by actions."""
    counts = {(agent, action): tally.uses for (agent, action), tally in usage.actions.items() if agent in policy.agents}
    totals = Counter[str]()
    for (_, action), count in counts.items():
        totals[action] += count
    names = sorted(action for action, _ in totals.most_common(_most_columns))
    most = max(counts.values(), default=1)
    agents = sorted(policy.agents)[:_most_rows]
    cells = {key: Cell(count / most, f"{count:,} times") for key, count in counts.items()}
    return Figure(grid(agents, names, cells, "how often each agent did what"), "agents by what they did")


def _denied(usage: Usage) -> Block:
    counts = Counter[tuple[str, str]]()
    for (agent, code, _), count in usage.denied.items():
        counts[agent, code] += count
    rows = [Bar(f"{agent}: {code}", count, "bad") for (agent, code), count in counts.most_common(_most_rows)]
    return Figure(bars(rows, "denials, by agent and code"), "by agent and code") if rows else Words("There were none.")


def _verdicts(reviews: Sequence[Review]) -> Block:
    closed = [each for each in reviews if each.state == "CLOSED"][:_most_rows]
    rows: list[Sequence[str]] = []
    for each in closed:
        counts = Counter(each.verdict(line) for line in each.lines)
        decided = (f"{counts[verdict]}" for verdict in ("keep", "narrow", "revoke"))
        day = each.closed_at.date() if each.closed_at is not None else ""
        rows.append((f"{day}", each.id, ", ".join(each.agents), each.closed_by, *decided))
    headers = ("closed", "review", "agents", "by", "keep", "narrow", "revoke")
    return Table(headers, rows) if rows else Words("No review was closed yet.")
