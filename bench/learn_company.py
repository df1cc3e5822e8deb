"""A company of thirty agents, simulated: what each needs is known, so that what was learned can be held against it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from learn_desk import clear

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.observation import Argument, Condition, Held, Observation, Seen, TableUse, ToolUse

_NOUNS = (
    "customer",
    "order",
    "invoice",
    "ticket",
    "shipment",
    "contract",
    "product",
    "supplier",
    "employee",
    "project",
)
_PARTS = ("", "_note", "_item")
_COLUMNS = ("name", "status", "email", "phone", "amount", "created", "iban", "comment", "priority", "password_hash")
TABLES: Mapping[str, tuple[str, ...]] = {
    f"{noun}{part}s": (f"{noun}{part}_id", "customer_id", "team_id", *_COLUMNS) for noun in _NOUNS for part in _PARTS
}
TOOLS: Mapping[str, tuple[str, ...]] = {
    f"{verb}_{noun}": ("customer_id", "kind", "amount", "text", "count")
    for verb in ("notify", "close", "report", "print")
    for noun in _NOUNS
}
SESSION = ("customer_id", "team_id")


def policy() -> str:
    """Return the company's mounts."""
    lines = ["bailiwick: 1", "mounts:", "  erp:", "    kind: postgres", "    url: ${ERP_URL}", "    resources:"]
    lines += [f"      {name}: {{table: public.{name}, key: {columns[0]}}}" for name, columns in TABLES.items()]
    lines += ["  office:", "    kind: python", "    functions:"]
    for name, arguments in TOOLS.items():
        verb, _, noun = name.partition("_")
        lines.append(f"      {name}: {{action: {noun}:{verb}, parameters: [{', '.join(arguments)}]}}")
    return "\n".join(lines) + "\n"


def lock() -> Lock:
    """Return what was accepted of the company's database."""
    return Lock(
        {
            "erp": {
                ("public", name): LockedTable("public", name, "r", tuple(LockedColumn(c, "text") for c in columns))
                for name, columns in TABLES.items()
            }
        }
    )


@dataclass
class Need:
    """One thing that an agent does, in how many of its sessions."""

    share: float
    resource: str
    verb: str
    columns: tuple[str, ...] = ()
    by: str = ""
    """The column that is always the session's value of that name; empty: rows of everybody."""
    through: str = ""
    """How the filter shows: as a condition, or in what rows held."""
    tool: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict[str, str])
    """Argument → what it is: session, one, few, number, text."""


@dataclass
class Agent:
    """An agent, and all that it needs: its minimal policy."""

    name: str
    needs: list[Need]

    def atoms(self) -> set[tuple[str, str, str]]:
        """Return resource, verb and field of all that is needed; of tools the argument."""
        found: set[tuple[str, str, str]] = set()
        for need in self.needs:
            if need.tool:
                verb, _, noun = need.tool.partition("_")
                found |= {(noun, verb, name) for name in ("", *need.arguments)}
                continue
            looked = {need.by} - {""} if need.through == "condition" else set[str]()
            found |= {(need.resource, need.verb, name) for name in need.columns}
            found |= {(need.resource, "read", name) for name in looked}
        return found

    def filters(self) -> dict[tuple[str, str], str]:
        """Return resource and verb → the column that is always the session's value."""
        found = {(need.resource, need.verb): need.by for need in self.needs if not need.tool}
        return {key: by for key, by in found.items() if by}


def agents(seed: int, count: int) -> list[Agent]:
    """Return so many agents, each with needs of its own."""
    rng = random.Random(seed)  # noqa: S311  # a simulation, the same every time
    found: list[Agent] = []
    for number in range(count):
        needs: list[Need] = []
        for table in rng.sample(sorted(TABLES), rng.randint(3, 7)):
            by = rng.choice(("customer_id", "customer_id", "team_id", ""))
            through = rng.choice(("condition", "condition", "rows")) if by else ""
            columns = tuple(sorted(rng.sample(TABLES[table][3:], rng.randint(2, 6))))
            share = rng.choice((0.9, 0.5, 0.3, 0.1, 0.05))
            needs.append(Need(share, table, "read", columns, by, through))
            if rng.random() < 0.4:
                written = tuple(sorted(rng.sample(("status", "comment", "priority"), rng.randint(1, 2))))
                needs.append(Need(share * 0.6, table, "update", written, by, "condition" if by else ""))
        for tool in rng.sample(sorted(TOOLS), rng.randint(1, 4)):
            kinds = {"customer_id": "session", "kind": rng.choice(("one", "few")), "amount": "number", "text": "text"}
            named = {name: kinds[name] for name in rng.sample(sorted(kinds), rng.randint(1, 4))}
            needs.append(Need(rng.choice((0.6, 0.3, 0.1, 0.05)), "", "", tool=tool, arguments=named))
        found.append(Agent(f"agent-{number:02d}", needs))
    return found


def sessions(agent: Agent, seed: int, count: int, poisoned: float) -> list[tuple[bool, list[Observation]]]:
    """Return so many sessions, each with whether it is poisoned."""
    rng = random.Random(f"{agent.name} {seed}")  # noqa: S311  # as above
    found: list[tuple[bool, list[Observation]]] = []
    bad = set(rng.sample(range(count), round(poisoned * count)))
    for number in range(count):
        at = datetime(2026, 5, 4, 8, tzinfo=UTC) + timedelta(days=rng.randrange(28), seconds=rng.randrange(36_000))
        values = {name: clear(rng.randrange(10**5 if name == "customer_id" else 40)) for name in SESSION}
        done = [need for need in agent.needs if rng.random() < need.share] or [rng.choice(agent.needs)]
        who = (agent.name, f"{agent.name}/{number}", at, f"person{rng.randrange(12)}", values)
        seen = [_observed(rng, who, need, values) for need in done]
        if number in bad:
            seen.append(_observed(rng, who, _poison(rng, agent), {name: clear(10**7) for name in SESSION}))
        found.append((number in bad, seen))
    return found


def _poison(rng: random.Random, agent: Agent) -> Need:
    """Return what an injected instruction has the agent do: something else, or its own work on others' rows."""
    bound = [need for need in agent.needs if need.by]
    if bound and rng.random() < 0.3:
        need = rng.choice(bound)
        return Need(1, need.resource, need.verb, need.columns, need.by, "condition")
    if rng.random() < 0.3:
        return Need(1, "", "", tool=rng.choice(sorted(TOOLS)), arguments={"text": "text"})
    table = rng.choice(sorted(TABLES))
    return Need(1, table, rng.choice(("read", "read", "update", "delete")), tuple(rng.sample(_COLUMNS, 2)))


_Who = tuple[str, str, datetime, str, dict[str, Seen]]


def _observed(rng: random.Random, who: _Who, need: Need, values: Mapping[str, Seen]) -> Observation:
    agent, session, at, person, own = who
    head = (agent, session, at + timedelta(seconds=rng.randrange(600)), person, "")
    if need.tool:
        return Observation(*head, "office", "", own, tool=_called(rng, need, values))
    equal = Condition(need.by, "equal", (values.get(need.by, clear(1)),)) if need.through == "condition" else None
    held = Held(need.by, (values.get(need.by, clear(1)),)) if need.through == "rows" else None
    written = need.columns if need.verb == "update" else ()
    use = TableUse(
        *(need.resource, need.verb, f"public.{need.resource}"),
        read=tuple(sorted(need.columns)) if need.verb == "read" else (),
        filtered=(need.by,) if equal else (),
        written=tuple(sorted(written)),
        conditions=(equal,) if equal else (),
        holds=(held,) if held else (),
        sets=tuple(Held(name, (clear(rng.choice(("a", "b", "c"))),)) for name in written),
        rows=rng.randint(1, 5),
    )
    return Observation(*head, "erp", "", own, (use,))


def _called(rng: random.Random, need: Need, values: Mapping[str, Seen]) -> ToolUse:
    given: list[Argument] = []
    for name, kind in need.arguments.items():
        match kind:
            case "session":
                value = values["customer_id"]
            case "one":
                value = clear("standard")
            case "few":
                value = clear(rng.choice(("low", "middle", "high")))
            case "number":
                value = clear(round(rng.lognormvariate(3, 1), 2))
            case _:
                value = clear(f"text {rng.randrange(10**9)} of {rng.randrange(10**9)}")
        given.append(Argument(name, value))
    return ToolUse(need.tool, arguments=tuple(given))
