"""The property of learning on every kind of mount: what was learned from is admitted, values of nobody's are not."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from learn_world import AGENT, NOTHING, START, Plain, customer, seen

from bailiwick.learn.covering import Cover
from bailiwick.learn.draft import Draft
from bailiwick.learn.gathering import gather
from bailiwick.learn.propose import propose
from bailiwick.learn.surroundings import Around
from bailiwick.learn.writing import write
from bailiwick.model.lock import Lock
from bailiwick.model.matcher import Anything, Empty
from bailiwick.model.observation import Argument, Observation, ToolUse
from bailiwick.model.tool import LockedTool, Tool
from bailiwick.policy.email import SEND, locked_send
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_route, locked_tool

MOUNTS = """\
bailiwick: 1
mounts:
  api:
    kind: http
    url: https://api.example/v2
    routes:
      GET /invoices/{id}: {action: invoices:read, path: {id: integer}, query: {page: integer}}
      POST /refunds: {action: refunds:create, body: {customer_id: integer, currency: string, note: string}}
  shop:
    kind: http
    url: https://shop.example/api
    graphql:
      fields:
        Query.customer: {action: customers:read}
        Mutation.rename: {action: names:update}
  docs:
    kind: files
    root: ./files
    resources:
      kb: {paths: ["kb/**"]}
  mail:
    kind: email
    smtp: ${SMTP_URL}
    from: support@acme.example
    internal: [acme.example]
  helpdesk:
    kind: mcp
    url: https://mcp.example/mcp
    tools:
      close: {action: cases:close}
"""
USES: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    ("api", "route", "GET /invoices/{id}", "invoices", "read", ("path.id", "query.page")),
    ("api", "route", "POST /refunds", "refunds", "create", ("body.customer_id", "body.currency", "body.note")),
    ("shop", "field", "Query.customer", "customers", "read", ("id", "name")),
    ("shop", "field", "Mutation.rename", "names", "update", ("id", "name")),
    ("docs", "file", "kb:read", "kb", "read", ("path", "type", "size", "level")),
    ("mail", "tool", "send", "email", "send", ("to", "subject", "body")),
    ("helpdesk", "tool", "close", "cases", "close", ("customer_id", "note")),
)
_ALWAYS = frozenset({"to", "subject", "body", "path.id", "id"})
_INTEGERS = frozenset({"path.id", "query.page", "body.customer_id", "size", "customer_id"})


@cache
def around() -> Around:
    policy = load({"policy.yaml": MOUNTS + NOTHING}).policy
    assert policy is not None
    offered: dict[tuple[str, str], Tool] = {
        (name, each.name): each for name, mount in policy.tool_mounts.items() for each in mount.offered
    }
    locked = {
        "api": {each.key: locked_route(each) for (mount, _), each in offered.items() if mount == "api"},
        "mail": {SEND: locked_send([])},
        "helpdesk": {"close": _locked("close", "customer_id", "note")},
        "shop": {
            f"field:{name}": _locked(f"field:{name}", "id", "name") for name in ("Query.customer", "Mutation.rename")
        },
    }
    return Around(policy, Lock({}, locked))


def _locked(name: str, *arguments: str) -> LockedTool:
    properties = {each: {"type": "integer" if each in _INTEGERS else "string"} for each in arguments}
    return locked_tool(name, {"inputSchema": {"type": "object", "properties": properties}})


def _value(draw: st.DrawFn, name: str, session: int) -> Plain:
    if name == "path":
        return f"kb/{draw(st.sampled_from(('a', 'b')))}/{draw(st.integers(0, 9))}.md"
    if name == "level":
        return "internal"
    if name == "to":
        return [f"c{draw(st.integers(0, 3))}@acme.example"]
    if name in _INTEGERS:
        return customer(session) if draw(st.booleans()) else draw(st.integers(1, 2000))
    return draw(st.sampled_from(("EUR", "text/markdown", "a: b", 'qu"ote', "x y z w", "новый")))


@st.composite
def _sessions(draw: st.DrawFn) -> list[Observation]:
    found: list[Observation] = []
    for session in range(draw(st.sampled_from((1, 3, 15, 40)))):
        mount, *_ = first = draw(st.sampled_from(USES))
        uses = [_use(draw, first, session)]
        if mount == "shop" and draw(st.booleans()):
            uses.append(_use(draw, USES[2], session))  # two fields of one operation
        values = {"customer_id": seen(customer(session)), "user.id": seen(f"user{session % 5}")}
        found.append(
            Observation(
                AGENT,
                f"ses_{session}",
                START,
                f"user{session % 5}",
                "",
                mount,
                f"rec_{session}",
                values,
                tool=uses[0],
                more=tuple(uses[1:]),
            )
        )
    return found


def _use(draw: st.DrawFn, what: tuple[str, str, str, str, str, tuple[str, ...]], session: int) -> ToolUse:
    _, kind, name, resource, verb, named = what
    given = [each for each in named if kind == "file" or each in _ALWAYS or draw(st.booleans())]
    arguments = tuple(Argument(each, seen(_value(draw, each, session))) for each in given)
    return ToolUse(name, resource, verb, kind, arguments)


def covered(draft: Draft) -> Cover:
    loaded = load({"mounts.yaml": MOUNTS, "draft.yaml": write(draft, around())})
    assert loaded.policy is not None, [str(each) for each in loaded.problems]
    return Cover(loaded.policy, around().lock)


@settings(max_examples=20)
@given(observed=_sessions())
def test_on_every_kind_of_mount_what_was_learned_from_is_admitted_and_nothing_else_is_named(
    observed: list[Observation],
) -> None:
    draft = propose(gather(AGENT, observed), around())
    cover = covered(draft)
    aside = {each.session for each in draft.kept_out}
    kept = [each for each in observed if each.session not in aside]
    for each in kept:
        assert cover.denied(each, each.values) == "", each
    done = {(use.name, argument.name) for each in kept for use in each.tools for argument in use.arguments}
    for proposed in draft.grants:
        lines = {line.what: line.generalisation for line in proposed.lines}
        for name, matcher in (proposed.args or {}).items():
            assert (proposed.tool, name) in done
            if not isinstance(matcher, Empty):
                told = lines[f"argument {name}"]
                assert told != "as seen"
                assert not isinstance(matcher, Anything) or told == "any value"
    never = [use for use in USES if use[2] not in {each.tool for each in draft.grants}]
    for mount, kind, name, resource, verb, _ in never:
        strange = ToolUse(name, resource, verb, kind)
        assert cover.denied(Observation(AGENT, "ses_0", START, mount=mount, tool=strange), {})
