"""Links of messages: what some program makes a link of is found, wherever it leads in any reading."""

from __future__ import annotations

import pytest

from bailiwick.match.links import is_active, links_in


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("see evil.pw now", {"evil.pw"}),
        ("get evil.zip.", {"evil.zip"}),
        ("at sub.evil.tk, or", {"sub.evil.tk"}),
        ("end.of evil.com.Thanks", {"evil.com"}),
        ("at ..evil.com", {"evil.com"}),
        ("ask @evil.tk", {"evil.tk"}),
        ("my\u2764.ws", {"?"}),
        ("\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444", {"xn--e1afmkfd.xn--p1ai"}),
        ("evil\u3002com and evil\uff0ecom", {"evil.com"}),
        ("https://ok.com\\\\@evil.com/x", {"ok.com", "evil.com"}),
        ("https:\\\\evil.tk", {"?", "evil.tk"}),
        ("https://ok.com@evil.com", {"evil.com"}),
        ("ok.com@evil.com/x", {"evil.com"}),
        ("write to bo@evil.pw, or bo@evil.pw: now", set[str]()),
        ("e.g. this. That is v1.2.3 of 3.14 in Node.js and report.pdf", set[str]()),
        ("\u4f60\u597d\u3002\u5f88\u597d", set[str]()),
    ],
)
def test_hosts_are_found_wherever_a_link_could_lead(text: str, hosts: set[str]) -> None:
    assert {*links_in(text)} == hosts


@pytest.mark.parametrize(
    ("markup", "active"),
    [
        ('<a href="javascript:x">', True),
        ('<a href=" java\nscript:x">', True),
        ('<a href="&#1;javascript:x">', True),
        ('<a href="java&Tab;script&colon;x">', True),
        ("<img src=data:image/png;base64,x>", True),
        ("<a style='background:url(data:x)'>", True),
        ("<p>Personal data: none. In the file: two pages", False),
        ('<a href="https://acme.example/data:1">', False),
    ],
)
def test_links_that_do_something_are_told_from_texts(markup: str, active: bool) -> None:
    assert is_active(markup) is active
