"""Drawings for reports, as inline SVG in the colours of the page. Every text in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Tone = Literal["main", "bad", "good", "warn", "none"]

_width = 720
_row = 22
_name = 240
_letter = 7
"""About how wide a letter is."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its name, how long it is, and what is written at its end (else the number)."""

    name: str
    value: float
    tone: Tone = "main"
    said: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A place of a map: how strong it is, from 0 to 1, and what is said when it is pointed at."""

    strength: float
    said: str
    tone: Tone = "main"
    mark: str = ""
    """A letter or two within it."""


def bars(rows: Sequence[Bar], about: str) -> Markup:
    """Return horizontal bars, one a row. `about` is read to those who do not see."""
    most = max((row.value for row in rows), default=0) or 1
    room = _width - _name - 90
    drawn: list[Markup] = []
    for place, row in enumerate(rows):
        top, length = place * _row, max(1.0 if row.value else 0.0, row.value / most * room)
        said = row.said or f"{row.value:,.0f}"
        drawn.append(
            Markup(
                '<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>'
                '<rect class="{}" x="{}" y="{}" width="{:.1f}" height="{}" rx="2"></rect>'
                '<text class="soft" x="{:.1f}" y="{}">{}</text>'
            ).format(
                *(_name - 8, top + 15, short(row.name, _name - 10), row.name),
                *(row.tone, _name, top + 4, length, _row - 8),
                *(_name + length + 6, top + 15, said),
            )
        )
    return _svg(drawn, _width, max(1, len(rows)) * _row, about)


def columns(points: Sequence[tuple[str, float]], about: str, tone: Tone = "main") -> Markup:
    """Return upright columns side by side, e.g. one a day, with the first, middle and last name below."""
    high, bottom = 120, 140
    most = max((value for _, value in points), default=0) or 1
    step = (_width - 60) / max(1, len(points))
    drawn: list[Markup] = [
        Markup('<line class="line" x1="50" y1="{0}" x2="{1}" y2="{0}"></line>').format(bottom, _width),
        Markup('<text class="soft" x="44" y="{}" text-anchor="end">{:,.0f}</text>').format(bottom - high + 6, most),
        Markup('<text class="soft" x="44" y="{}" text-anchor="end">0</text>').format(bottom),
    ]
    for place, (name, value) in enumerate(points):
        tall = value / most * high
        drawn.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                "<title>{}: {:,.0f}</title></rect>"
            ).format(tone, 50 + place * step, bottom - tall, max(1.0, step * 0.8), tall, name, value)
        )
    named = sorted({0, len(points) // 2, len(points) - 1}) if points else []
    drawn += [
        Markup('<text class="soft" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            min(_width - 40, max(70, 50 + (place + 0.4) * step)), bottom + 18, points[place][0]
        )
        for place in named
    ]
    return _svg(drawn, _width, bottom + 26, about)


def grid(rows: Sequence[str], names: Sequence[str], cells: Mapping[tuple[str, str], Cell], about: str) -> Markup:
    """Return a map of rows by columns; where there is no cell, nothing was."""
    side, turned = 26, max((len(name) for name in names), default=0) * _letter * 0.72 + 16
    drawn: list[Markup] = []
    for place, name in enumerate(names):
        x = _name + place * side + side / 2
        drawn.append(
            Markup('<text x="{0:.1f}" y="{1:.1f}" transform="rotate(-45 {0:.1f} {1:.1f})">{2}</text>').format(
                x, turned - 4, name
            )
        )
    for down, row in enumerate(rows):
        top = turned + down * side
        drawn.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}<title>{}</title></text>').format(
                _name - 8, top + 17, short(row, _name - 10), row
            )
        )
        for across, name in enumerate(names):
            cell = cells.get((row, name))
            drawn.append(_cell(cell, _name + across * side, top, side - 3, f"{row}, {name}"))
    right = _name + len(names) * side + turned
    return _svg(drawn, int(max(_width, right)), int(turned + max(1, len(rows)) * side), about)


def _cell(cell: Cell | None, x: float, y: float, side: float, where: str) -> Markup:
    tone, strength = ("none", 1.0) if cell is None else (cell.tone, 0.15 + 0.5 * min(1.0, max(0.0, cell.strength)))
    drawn = Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{}" height="{}" rx="3" fill-opacity="{:.2f}">'
        "<title>{}: {}</title></rect>"
    ).format(tone, x, y, side, side, strength, where, "nothing" if cell is None else cell.said)
    if cell is None or not cell.mark:
        return drawn
    return drawn + Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="middle" pointer-events="none">{}</text>').format(
        x + side / 2, y + side / 2 + 4, cell.mark
    )


def _svg(drawn: Sequence[Markup], width: int, height: int, about: str) -> Markup:
    return Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>').format(
        about, width, height, width, height, Markup("").join(drawn)
    )


def short(text: str, room: float) -> str:
    """Return a text that fits into so many pixels."""
    most = int(room / _letter)
    return text if len(text) <= most else text[: most - 1] + "…"
