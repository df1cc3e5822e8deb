"""Paths, patterns, types, masks and diffs as values: what holds for all of them."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.match.cards import is_card
from bailiwick.match.file_paths import folded, matches, path_problem, pattern_of, pattern_problem, reaches
from bailiwick.match.redact import Redactor, redacted
from bailiwick.match.sniff import type_of
from bailiwick.model.files import redactions
from bailiwick.mounts.files.diffs import change_of

ANY_TEXT = st.text(max_size=40)
PARTS = st.lists(st.text(alphabet="ab.- ~é%:/\\\u200b", min_size=0, max_size=6), min_size=1, max_size=5)
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009", "3782 822463 10005", "6011000000000004"]
KEYS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "github_pat_" + "a1B2c3" * 5,
    "glpat-" + "a1B2c3D4" * 3,
    "xoxb-" + "1234567890-abcdef",
    "AIza" + "a1B2c" * 7,
    "sk_live_" + "a1B2c3D4" * 3,
    "npm_" + "a1B2" * 9,
    "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
]
SECRET = st.sampled_from(
    [*CARDS, *KEYS, "ann.lee@corp.example", "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----"]
)
TEXT = st.lists(st.one_of(st.text(alphabet='ab 1-@.\n,:"=_', max_size=12), SECRET), max_size=8).map("".join)


@given(PARTS)
def test_an_accepted_path_is_plain(parts: list[str]) -> None:
    path = "/".join(parts)
    if path_problem(path) == "":
        given_parts = path.split("/")
        assert all(part and part.strip(". ") and part[-1] not in ". " for part in given_parts)
        assert unicodedata.normalize("NFC", path) == path
        assert not set(path) & set('\\:*?"<>|\u200b')


@given(ANY_TEXT)
def test_any_text_is_judged_without_failing(text: str) -> None:
    assert isinstance(path_problem(text), str)
    assert isinstance(pattern_problem(text), str)
    assert folded(folded(text)) == folded(text)


@given(st.text(alphabet="abAB", min_size=1, max_size=4), st.lists(st.sampled_from("abc"), max_size=3))
def test_what_matches_a_pattern_lies_below_a_folder_that_it_reaches(name: str, folders: list[str]) -> None:
    path = (*folders, name)
    for text in ("**", "a/**", "**/b", "a/*/b", "*", "a/**/b", "?/*"):
        pattern = pattern_of(text)
        if matches(pattern, path):
            assert all(reaches(pattern, path[:end]) for end in range(len(path)))


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("kb/**", "kb/a", True),
        ("kb/**", "kb/a/b/c", True),
        ("kb/**", "kb", False),
        ("kb/*", "kb/a/b", False),
        ("kb/*.md", "kb/a.md", True),
        ("**/*.md", "a.md", True),
        ("**/*.md", "x/y/a.md", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "a/x/y", False),
        ("k?/a", "kb/a", True),
        ("**", "a/b", True),
    ],
)
def test_patterns_match_by_parts(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern_of(pattern), tuple(path.split("/"))) is expected


@given(TEXT, st.lists(st.integers(0, 200), max_size=6))
def test_a_text_in_pieces_is_masked_as_the_whole(text: str, cuts: list[int]) -> None:
    whole, found = redacted(text, redactions)
    redactor = Redactor(redactions)
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [redactor.feed(text[start:end]) for start, end in pairwise(ends)]
    assert "".join([*pieces, redactor.end()]) == whole
    assert redactor.found == found


@given(st.text(alphabet="xyz ,;\n(", max_size=20), SECRET, st.text(alphabet="xyz ,;\n)", max_size=20))
def test_nothing_of_what_is_masked_is_shown(before: str, secret: str, after: str) -> None:
    shown, found = redacted(f"{before}\n{secret}\n{after}", redactions)
    assert secret not in shown
    assert found >= 1
    assert "MIIabc" not in shown


@pytest.mark.parametrize(
    "text", ["1234 5678 9012 3456", "order 4111111111111112", "a@b", "2026-11-22 10:11:12", "AKIA", "x@y@z"]
)
def test_what_only_looks_alike_is_shown(text: str) -> None:
    assert redacted(text, redactions)[0] == text


def test_a_run_that_is_too_long_is_masked_as_a_whole() -> None:
    shown, _ = redacted("a" * 200_000 + ", rest", redactions)
    assert shown == "[too long to be looked at], rest"


@pytest.mark.parametrize("size", [1000, 70_000, 200_000])
def test_a_private_key_that_begins_within_a_run_that_is_too_long_is_masked(size: int) -> None:
    text = f"{'a' * 70_000} -----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\nafter\n"
    redactor = Redactor(("keys",))
    shown = "".join(redactor.feed(text[at : at + size]) for at in range(0, len(text), size)) + redactor.end()
    assert "MIIE" not in shown
    assert shown == redacted(text, ("keys",))[0]
    assert shown.endswith("\nafter\n")


@pytest.mark.parametrize(
    "between",
    [
        "\t",
        "_",
        "  ",
        " - ",
        "\u202f",
        "\u2009",
        "\u2007",
        "/",
        "\n",
        "\r\n  ",
        " \n",
        "\u200b",
        "\u2060",
        "|",
        "\u2014",
    ],
)
def test_a_card_is_masked_however_its_groups_are_set_apart(between: str) -> None:
    assert redacted(between.join(["4111", "1111", "1111", "1111"]), ("cards",)) == ("[card]", 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" ".join("4111111111111111"), "[card]"),
        ("-".join(["41", *["11"] * 7]), "[card]"),
        ("\u200b".join("4111111111111111"), "[card]"),
        ("row 12\n4111 1111\n1111 1111\nrow 13", "row 12\n[card]\nrow 13"),
        ("4111\n1111\n1111\n11\n11", "4111\n1111\n1111\n11\n11"),
        ("on 2026/11/22 10:11 to 2026/11/23", "on 2026/11/22 10:11 to 2026/11/23"),
        ("a!b@c.org, b", "[email], b"),
        ("to bo\uff20corp.example.", "to [email]."),
        ("bo\u200b@corp\u3002example", "[email]"),
        ("o'neil+x@corp.example", "[email]"),
        ("is 5 > 3? yes! {a}|#b", "is 5 > 3? yes! {a}|#b"),
    ],
)
def test_what_is_masked_has_many_shapes_and_what_is_none_of_them_stays(text: str, shown: str) -> None:
    assert redacted(text, redactions)[0] == shown


@given(st.text(alphabet="0123456789", min_size=12, max_size=20))
def test_one_digit_changed_makes_no_card_of_a_card(digits: str) -> None:
    if is_card(digits):
        other = digits[:-1] + str((int(digits[-1]) + 1) % 10)
        assert not is_card(other)


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("a.md", b"# hi", "text/markdown"),
        ("a.txt", b"%PDF-1.7", "application/pdf"),
        ("a.png", b"just text", "text/plain"),
        ("a.txt", b"\x7fELF\x02", "application/x-executable"),
        ("a.docx", b"PK\x03\x04...", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.txt", b"PK\x03\x04...", "application/zip"),
        ("a.bin", b"\x00\x01", "application/octet-stream"),
        ("a.txt", b"\xff\xfe\x00", "application/octet-stream"),
        ("a", b"<!DOCTYPE html><p>", "text/html"),
        ("a.csv", b"a,b\n1,2", "text/csv"),
        ("a", b"", "text/plain"),
    ],
)
def test_the_type_is_told_by_the_content_first(name: str, head: bytes, expected: str) -> None:
    assert type_of(name, head) == expected


def test_a_change_is_shown_within_bounds_and_by_label() -> None:
    shown = change_of("kb/a.md", b"one\ntwo\n", b"one\n2\n", "internal")
    assert "-two" in shown
    assert "+2" in shown
    assert "two" not in change_of("hr/a.md", b"two", b"three", "restricted")
    assert "not text" in change_of("kb/a.bin", b"\x00", b"\x01", "internal")
    assert "too long" in change_of("kb/a.md", b"x" * 600_000, b"y", "internal")
    long = change_of("kb/a.md", None, b"line\n" * 50_000, "internal")
    assert "cut here" in long
    assert len(long) < 14_000
