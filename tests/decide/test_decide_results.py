"""Results of tools: items, fields and masks over JSON, alone and together."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.decide.results import Shown, View, show
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Equal, Matcher
from bailiwick.model.scope import CallGrant
from bailiwick.model.value import Ref

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = [
    {
        "id": 1,
        "owner": 501,
        "name": "A",
        "card": {"number": "4111-1111-1111-1111", "kind": "visa"},
        "mail": "a@x.example",
    },
    {"id": 2, "owner": 502, "name": "CANARY", "card": {"number": "CANARY", "kind": "CANARY"}, "mail": "CANARY@y"},
    {"id": 3, "owner": None, "name": "CANARY", "mail": "CANARY"},
    "CANARY",
]
MINE: Mapping[str, Matcher] = {"owner": Equal(Ref(("customer_id",)))}


def grant(name: str = "g", *, items: Mapping[str, Matcher] | None = None, fields: tuple[str, ...] | None = None,
          masks: Mapping[str, Mask] | None = None, hidden: frozenset[str] = frozenset()) -> CallGrant:  # fmt: skip
    return CallGrant(name, {}, None, items or {}, fields, masks or {}, hidden)


def shown(view: View, result: object = ITEMS) -> Shown:
    return show(
        view, result, lambda ref: 501 if ref.path == ("customer_id",) else None, NOW, lambda text: f"h{len(text)}"
    )


def test_only_admitted_items_are_shown_and_nothing_beside_them() -> None:
    found = shown(
        View(("page", "results"), (grant(items=MINE),)), {"page": {"results": ITEMS, "total": 4}, "next": "CANARY"}
    )
    assert found.value == {"page": {"results": [ITEMS[0]]}}
    assert found.items == 1
    assert "CANARY" not in json.dumps(found.value)


def test_a_result_of_another_form_is_not_shown() -> None:
    view = View(("results",), (grant(items=MINE),))
    others: list[object] = [[], {"Results": ITEMS}, "CANARY", None, {"results": "CANARY"}]
    for result in others:
        assert not shown(view, result).found or shown(view, result).value == {"results": []}
    assert shown(view, {"results": ITEMS}).items == 1


def test_fields_masks_and_hidden_paths() -> None:
    fields = grant(items=MINE, fields=("id", "card.kind"))
    assert shown(View((), (fields,))).value == [{"id": 1, "card": {"kind": "visa"}}]
    masks = grant(items=MINE, masks={"mail": Mask("partial"), "card.number": Mask("last4"), "name": Mask("hash")})
    (item,) = cast("list[dict[str, object]]", shown(View((), (masks,))).value)
    assert item["mail"] == "a***@x.example"
    assert item["card"] == {"number": "***************1111", "kind": "visa"}
    assert item["name"] == "h1"
    hidden = grant(items=MINE, hidden=frozenset({"card.number", "mail"}))
    assert shown(View((), (hidden,))).value == [{"id": 1, "owner": 501, "name": "A", "card": {"kind": "visa"}}]
    taken = View((), (grant(items=MINE),), hidden=frozenset({"card"}))
    assert "card" not in cast("list[dict[str, object]]", shown(taken).value)[0]


def test_grants_add_up_item_by_item() -> None:
    clear = grant("clear", items=MINE)
    names = grant("names", fields=("id", "name"), masks={"name": Mask("full")})
    found = cast("list[dict[str, object]]", shown(View((), (clear, names)), ITEMS[:2]).value)
    assert found[0] == ITEMS[0]
    assert found[1] == {"id": 2, "name": "***"}


def test_a_deny_of_items_wins_unless_it_is_known_not_to_fit() -> None:
    view = View((), (grant(),), denies=(grant("d", items={"owner": Equal(502)}),))
    assert shown(view).value == [ITEMS[0]]  # of NULL and of a text nothing is known


def test_a_single_object_is_an_item() -> None:
    view = View((), (grant(items=MINE),))
    assert shown(view, ITEMS[0]).value == ITEMS[0]
    assert not shown(view, ITEMS[1]).found


def test_a_mask_leads_through_lists_and_hides_what_is_no_scalar() -> None:
    view = View((), (grant(masks={"people.mail": Mask("full"), "deep": Mask("full")}),))
    result = {"people": [{"mail": "CANARY"}, {"mail": ["CANARY"]}], "deep": {"x": "CANARY"}, "ok": 1}
    found = shown(view, result).value
    assert found == {"people": [{"mail": "***"}, {"mail": ["***"]}], "deep": None, "ok": 1}


_keys = st.sampled_from(["a", "b", "c"])
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(string.ascii_letters, max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=3)),
    max_leaves=12,
)
_paths = st.lists(_keys, min_size=1, max_size=3).map(".".join)


def _leaves(value: object, path: tuple[str, ...] = ()) -> set[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        inner = cast("dict[str, object]", value).items()
        return {leaf for key, each in inner for leaf in _leaves(each, (*path, key))}
    if isinstance(value, list):
        return {leaf for each in cast("list[object]", value) for leaf in _leaves(each, path)}
    return {(path, repr(value))}


def _named(path: tuple[str, ...], paths: frozenset[str]) -> bool:
    return any(".".join(path[: end + 1]) in paths for end in range(len(path)))


@given(_json, st.frozensets(_paths, max_size=3), st.frozensets(_paths, max_size=3))
def test_exactly_the_named_leaves_are_shown_less_the_hidden(
    value: object, fields: frozenset[str], hidden: frozenset[str]
) -> None:
    view = View((), (grant(fields=tuple(sorted(fields)), hidden=hidden),))
    before = {leaf for leaf in _leaves(value) if leaf[0]}
    expected = {leaf for leaf in before if _named(leaf[0], fields) and not _named(leaf[0], hidden)}
    found = shown(view, value)
    after = {leaf for leaf in _leaves(found.value) if leaf[0]} if found.found else set[tuple[tuple[str, ...], str]]()
    assert after == expected


@given(_json, st.frozensets(_paths, max_size=3))
def test_without_fields_everything_but_the_hidden_is_shown(value: object, hidden: frozenset[str]) -> None:
    found = shown(View((), (grant(hidden=hidden),)), value)
    expected = {leaf for leaf in _leaves(value) if not _named(leaf[0], hidden)}
    assert (_leaves(found.value) if found.found else set[tuple[tuple[str, ...], str]]()) == expected


@given(_json, st.frozensets(_paths, max_size=3) | st.none(), st.frozensets(_paths, max_size=3), st.frozensets(_paths))
def test_the_same_grant_twice_shows_what_it_shows_once(
    value: object, named: frozenset[str] | None, covered: frozenset[str], hidden: frozenset[str]
) -> None:
    fields = None if named is None else tuple(named)
    masks = {path: Mask("partial") for path in covered}
    one, two = (CallGrant(name, {}, fields=fields, masks=masks) for name in ("one", "two"))
    assert shown(View((), (one, two), hidden=hidden), value) == shown(View((), (one,), hidden=hidden), value)
