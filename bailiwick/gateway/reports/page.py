"""A report as one file of HTML: no script, nothing from elsewhere, light and dark, good to print.

Whatever a report is given is escaped; only `charts` makes markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; what looks like a number stands to the right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Code:
    """A text to be copied, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing of `charts`, and what it shows in words."""

    drawing: Markup
    caption: str


Block = Words | Table | Code | Figure


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """A report."""

    title: str
    about: str
    """What it is about, in one line: period, ledger, when it was made."""
    figures: Sequence[tuple[str, str]]
    """What it comes to: a name and a figure each."""
    sections: Sequence[Section]


def html(page: Page) -> str:
    """Return a report as a file of HTML."""
    return _template().render(page=page, kind=_kind, number=_is_number)


def _kind(block: Block) -> str:
    return type(block).__name__.lower()


def _is_number(text: str) -> bool:
    return bool(text) and text.replace(",", "").replace(".", "").replace("%", "").strip().isdecimal()


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("bailiwick.gateway", "reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
