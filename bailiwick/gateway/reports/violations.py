"""The report of denials as a page."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.gateway.reports.charts import Bar, bars, columns
from bailiwick.gateway.reports.page import Block, Figure, Page, Section, Table, Words
from bailiwick.ledger.violations import Violations, change

_most = 20


def page(found: Violations, origin: str) -> Page:
    """Return the page of a report. `origin` is the ledger's name."""
    grown = change(found.total, found.before)
    figures = [
        ("denials", f"{found.total:,}"),
        ("in the period before", f"{found.before:,}" + (f" ({grown})" if grown else "")),
        ("agents", f"{len(found.agents):,}"),
        ("people", f"{len(found.persons):,}"),
    ]
    period = f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"
    about = f"{period} · ledger {origin}"
    if not found.total:
        return Page("Violations", about, figures, (Section("Nothing was denied", ()),))
    days = Figure(columns(found.days, "denials of each day", "bad"), "denials of each day, in UTC")
    return Page(
        "Violations",
        about,
        figures,
        (
            Section("Day by day", (days,)),
            Section("Causes that came most often", (_causes(found),)),
            Section("By agent", _ranked("agent", found.agents)),
            Section("By resource", _ranked("resource", found.resources)),
            Section("By code", _ranked("code", found.codes)),
            Section("By person", _ranked("person", found.persons)),
        ),
    )


def _causes(found: Violations) -> Table:
    rows = [(c.agent, c.action, c.code, f"{c.count:,}", c.message, c.example) for c in found.causes]
    return Table(("agent", "action", "code", "denials", "what it was told last", "record"), rows)


def _ranked(name: str, pairs: Sequence[tuple[str, int]]) -> Sequence[Block]:
    drawn = bars([Bar(key or "(none)", count) for key, count in pairs[:_most]], f"denials by {name}")
    rest = len(pairs) - _most
    blocks: list[Block] = [Figure(drawn, f"denials by {name}")]
    return [*blocks, Words(f"{rest:,} more are not shown.")] if rest > 0 else blocks
