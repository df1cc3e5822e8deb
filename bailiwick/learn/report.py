"""A draft as a report for people: what the agent touched as a picture, each line with its evidence, what was left."""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.gateway.reports.charts import Cell, grid
from bailiwick.gateway.reports.page import Block, Code, Figure, Page, Section, Table, Words, html
from bailiwick.learn.draft import Draft, Proposed
from bailiwick.learn.writing import evidence_text, matcher_text

_MOST_COLUMNS = 24
_MOST_SHOWN = 500


def report(drafts: Sequence[Draft], text: str, made: str) -> str:
    """Return the HTML of a report on drafts. `text`: what was written; `made`: when, in words."""
    calls, sessions = sum(each.calls for each in drafts), sum(each.sessions for each in drafts)
    figures = [
        ("agents", f"{len(drafts)}"),
        ("calls", f"{calls:,}"),
        ("sessions", f"{sessions:,}"),
        ("grants", f"{sum(len(each.grants) for each in drafts):,}"),
        ("questions", f"{sum(len(each.questions) for each in drafts):,}"),
        ("kept out", f"{sum(len(each.kept_out) for each in drafts):,}"),
    ]
    sections = [Section("Access map", _map(drafts)), *(part for each in drafts for part in _sections(each))]
    sections.append(Section("The draft", [Code(text)]))
    names = ", ".join(each.agent for each in drafts)
    return html(Page(f"What {names} needs", f"learned {made}; a draft, nothing of it is in force", figures, sections))


def _map(drafts: Sequence[Draft]) -> list[Block]:
    """Return the picture: agents and what they touch down the side, columns and arguments across, a map a resource."""
    found: list[Block] = [
        Words("R: read. W: written. M: masked. A: given as an argument. The stronger the colour, the more sessions.")
    ]
    resources = dict.fromkeys(each.action.resource for draft in drafts for each in draft.grants)
    for resource in sorted(resources):
        cells: dict[tuple[str, str], Cell] = {}
        for draft in drafts:
            for each in draft.grants:
                if each.action.resource == resource:
                    _mark(cells, draft, each)
        names = sorted({name for _, name in cells})
        for start in range(0, len(names), _MOST_COLUMNS):
            part = names[start : start + _MOST_COLUMNS]
            rows = sorted({row for row, name in cells if name in part})
            drawing = grid(rows, part, cells, f"what of {resource} is used")
            found.append(Figure(drawing, f"{resource}: agents and verbs, by columns or arguments"))
    never = [(each.resource, each.column, draft.agent, each.why) for draft in drafts for each in draft.never]
    if never:
        found.append(Words("Looks sensitive, and was not needed:"))
        found.append(Table(("resource", "column", "agent", "why"), never[:_MOST_SHOWN]))
    return found


def _mark(cells: dict[tuple[str, str], Cell], draft: Draft, grant: Proposed) -> None:
    share = grant.evidence.sessions / draft.sessions if draft.sessions else 0.0
    row = f"{draft.agent} · {grant.action.verb}"
    letter = "A" if grant.tool else "R" if grant.action.verb == "read" else "W"
    for name in (*(grant.fields or ()), *(grant.args or {})) or ("(nothing)",):
        masked = name in grant.mask
        tone = "good" if masked else "main" if letter == "R" else "warn"
        cells[row, name] = Cell(share, evidence_text(grant.evidence), tone, "M" if masked else letter)


def _sections(draft: Draft) -> list[Section]:
    low, high = draft.unseen
    chance = Words(f"The chance that the next session needs what none needed yet: {low:.1%} to {high:.1%}.")
    grants = [
        (str(each.action), each.confidence, _bounds(each), evidence_text(each.evidence))
        for each in draft.grants[:_MOST_SHOWN]
    ]
    lines = [
        (str(each.action), line.what, line.generalisation, line.confidence, line.why)
        for each in draft.grants
        for line in each.lines
    ]
    found = [
        Section(
            f"{draft.agent}: grants",
            [
                chance,
                Table(("action", "confidence", "bounds", "evidence"), grants),
                Table(("action", "line", "how far", "confidence", "why"), lines[:_MOST_SHOWN]),
            ],
        )
    ]
    if draft.questions:
        rows = [(each.text,) for each in draft.questions[:_MOST_SHOWN]]
        found.append(Section(f"{draft.agent}: questions", [Table(("too little to decide on",), rows)]))
    if draft.kept_out:
        kept = [
            (each.session, each.user, f"{each.at:%Y-%m-%d %H:%M}", "; ".join(each.reasons), ", ".join(each.records))
            for each in draft.kept_out[:_MOST_SHOWN]
        ]
        words = Words("Sessions that did what next to none else did. Nothing was learned from them.")
        table = Table(("session", "person", "when", "why", "records"), kept)
        found.append(Section(f"{draft.agent}: kept out", [words, table]))
    jobs = [(each.name, f"{each.sessions}", f"{each.people}", ", ".join(each.verbs), each.why) for each in draft.jobs]
    tasks = Table(("task", "sessions", "people", "resources", "why"), jobs)
    return [*found, Section(f"{draft.agent}: tasks", [tasks])]


def _bounds(grant: Proposed) -> str:
    parts = [("rows", grant.rows), ("set", grant.set), ("args", grant.args or {})]
    said = [f"{key} {name}: {matcher_text(each)}" for key, of in parts for name, each in of.items()]
    return "; ".join([*said, *([grant.when] if grant.when else [])])
