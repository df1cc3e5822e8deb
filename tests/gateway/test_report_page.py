"""Reports as HTML: complete in themselves, and nothing that they are given becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.gateway.reports.charts import Bar, Cell, bars, columns, grid
from bailiwick.gateway.reports.page import Code, Figure, Page, Section, Table, Words, html

EVIL = '<script>alert("canary")</script>&"\''
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12) | st.just(EVIL)


def report(text: str) -> str:
    drawings = (
        bars([Bar(text, 3), Bar("b", 0, "bad", text)], text),
        columns([(text, 1), ("x", 2)], text),
        grid([text], ["a", text], {(text, "a"): Cell(0.5, text, "warn", text)}, text),
    )
    blocks = [
        Words(text),
        Code(text),
        Table((text, "n"), ((text, "1,000"),)),
        *(Figure(each, text) for each in drawings),
    ]
    return html(Page(text, text, ((text, text),), (Section(text, blocks),)))


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.attributes |= {name for name, _ in attrs}


def elements(text: str) -> Elements:
    parser = Elements()
    parser.feed(text)
    return parser


@given(TEXT)
def test_no_text_becomes_markup(text: str) -> None:
    made = elements(report(f"x{text}"))
    assert made.found == elements(report("plain")).found
    assert not {name for name in made.attributes if name.startswith("on")}


def test_a_report_needs_nothing_from_elsewhere() -> None:
    made = report("plain")
    assert "script" not in elements(made).found
    assert not re.search(r"(src|href)=|url\(|https?://", made)
    assert "prefers-color-scheme: dark" in made


def test_numbers_stand_to_the_right() -> None:
    made = report("plain")
    assert '<td class="number">1,000</td>' in made
    assert "<td>plain</td>" in made


@given(st.lists(st.tuples(TEXT, st.floats(0, 1e9)), max_size=40))
def test_drawings_are_well_formed_and_bars_do_not_leave_them(points: list[tuple[str, float]]) -> None:
    for drawing in (bars([Bar(*point) for point in points], "about"), columns(points, "about")):
        root = ElementTree.fromstring(str(drawing))
        width = float(root.attrib["width"])
        for each in root.iter("rect"):
            assert 0 <= float(each.attrib["x"]) <= float(each.attrib["x"]) + float(each.attrib["width"]) <= width + 1
            assert float(each.attrib["height"]) >= 0


def test_the_longest_bar_is_the_greatest() -> None:
    root = ElementTree.fromstring(str(bars([Bar("a", 1), Bar("b", 4), Bar("c", 0)], "about")))
    lengths = [float(each.attrib["width"]) for each in root.iter("rect")]
    assert lengths[1] == max(lengths)
    assert lengths[0] == lengths[1] / 4
    assert lengths[2] == 0
