"""A draft as YAML in the house format: each line with its evidence as a comment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from bailiwick.learn.draft import Draft, Evidence, Job, Mapped, Proposed
from bailiwick.learn.surroundings import Around
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.policy import Agent, ContextRule
from bailiwick.model.value import Operand, Ref, ValueType
from bailiwick.policy.lock_scalar import scalar_text


def write(draft: Draft, around: Around) -> str:
    """Return the draft as a policy's file: roles, agent and tasks; the mounts too where no policy has them."""
    lines = [
        *_head(draft),
        "bailiwick: 1",
        *(_mounts(draft.mapped) if around.policy is None else ()),
        "",
        "roles:",
        f"  {scalar_text(_role(draft))}:",
        "    grants:" if draft.grants else "    grants: []",
        *(line for grant in draft.grants for line in _grant(grant)),
        *_denies(draft),
        *_questions(draft),
        "",
        "agents:",
        *_agent(draft, None if around.policy is None else around.policy.agents.get(draft.part_of or draft.agent)),
        "",
        "tasks:" if draft.jobs else "tasks: {}",
        *(line for job in draft.jobs for line in _task(draft.agent, job, around)),
    ]
    return "\n".join(lines) + "\n"


def _role(draft: Draft) -> str:
    return f"{draft.agent[:55]}-learned"


def _head(draft: Draft) -> Iterator[str]:
    low, high = draft.unseen
    yield f"# A draft for `{_plain(draft.agent)}`: nothing of it is in force. Learned from {draft.calls} calls in"
    yield f"# {draft.sessions} sessions of {draft.people} people, {_span(draft.first, draft.last)}."
    yield f"# The chance that the next session needs what none needed yet: {low:.1%} to {high:.1%}."
    if draft.part_of:
        yield f"# It is one job of `{_plain(draft.part_of)}`, whose sessions do one of several and hardly ever two."
    if draft.refused:
        yield f"# {draft.refused} calls were denied, held or failed; they taught nothing."
    for each in draft.kept_out[:50]:
        who = f" of {each.user}" if each.user else ""
        reasons = "; ".join(each.reasons[:4])
        yield f"# Kept out: session {_plain(each.session)}{_plain(who)}, {each.at:%Y-%m-%d %H:%M}: {_plain(reasons)}"
    if len(draft.kept_out) > 50:
        yield f"# Kept out, too: {len(draft.kept_out) - 50} sessions; the report has them all."


def _grant(grant: Proposed) -> Iterator[str]:
    yield f"      # {grant.confidence}: {evidence_text(grant.evidence)}"
    told = {line.what: line for line in grant.lines}
    yield f"      - allow: {scalar_text(str(grant.action))}"
    yield f"        reason: {scalar_text(grant.reason)}"
    if grant.fields is not None:
        yield f"        fields: [{', '.join(scalar_text(name) for name in grant.fields)}]"
    yield from _mapping("mask", {name: _mask(mask) for name, mask in grant.mask.items()}, {})
    for key, matchers, what in (
        ("rows", grant.rows, "rows"),
        ("set", grant.set, "set"),
        ("args", grant.args, "argument"),
    ):
        why = {
            name: f"{line.generalisation}, {line.confidence}: {line.why}"
            for name in matchers or {}
            if (line := told.get(f"{what} {name}")) is not None and not isinstance((matchers or {})[name], Empty)
        }
        yield from _mapping(key, {name: matcher_text(each) for name, each in (matchers or {}).items()}, why)
    if grant.when:
        yield f"        when: {_quoted(grant.when)}"
    yield from _mapping("limits", dict(grant.limits), {})


def _mapping(key: str, members: Mapping[str, str], why: Mapping[str, str]) -> Iterator[str]:
    if not members:
        return
    if not why:
        yield f"        {key}: {{{', '.join(f'{scalar_text(name)}: {text}' for name, text in members.items())}}}"
        return
    yield f"        {key}:"
    for name, text in members.items():
        comment = f"  # {_plain(why[name])}" if name in why else ""
        yield f"          {scalar_text(name)}: {text}{comment}"


def _denies(draft: Draft) -> Iterator[str]:
    granted = {grant.action.resource for grant in draft.grants}
    of: dict[str, list[str]] = {}
    for each in draft.never:
        of.setdefault(each.resource, []).append(each.column)
    if not of:
        return
    yield "      # What it must never have: it looks sensitive, and was not needed."
    for resource, columns in sorted(of.items()):
        listed = ", ".join(scalar_text(each) for each in columns)
        text = (
            f"- {{deny: {_quoted(resource + ':*')}, fields: [{listed}], reason: looks sensitive and was never needed}}"
        )
        yield f"      {text}" if resource in granted else f"      # untouched: {resource} ({listed})"


def _questions(draft: Draft) -> Iterator[str]:
    if not draft.questions and not draft.kept_out:
        return
    yield "      # Questions, each too little to decide on. Nothing below is granted."
    for each in draft.questions:
        yield f"      # - {_plain(each.text)}"
    asked: dict[str, int] = {}
    for kept in draft.kept_out:
        for reason in kept.reasons:
            asked[reason] = asked.get(reason, 0) + 1
    for reason, sessions in sorted(asked.items(), key=lambda pair: (-pair[1], pair[0]))[:100]:
        yield f"      # - {_plain(reason)} ({sessions} session{'s' * (sessions != 1)}): is it needed?"


def _agent(draft: Draft, known: Agent | None) -> Iterator[str]:
    yield f"  {scalar_text(draft.agent)}:"
    yield f"    owner: {scalar_text(known.owner if known else 'unknown')}"
    yield f"    purpose: {scalar_text(known.purpose if known else 'to be said by its owner')}"
    yield f"    roles: [{scalar_text(_role(draft))}]"
    session = {"actions": str(draft.actions)}
    if known is not None:
        session |= {"ttl": _duration(known.session.ttl)} if known.session.ttl else {}
        session |= {"idle": _duration(known.session.idle)} if known.session.idle else {}
        session |= {"concurrent": str(known.session.concurrent)} if known.session.concurrent else {}
    if draft.hours:
        session["hours"] = scalar_text(draft.hours) if ":" not in draft.hours else _quoted(draft.hours)
    yield f"    session: {{{', '.join(f'{name}: {text}' for name, text in session.items())}}}"


def _task(agent: str, job: Job, around: Around) -> Iterator[str]:
    yield f"  # {job.sessions} sessions of {job.people} people: {job.why}"
    yield f"  {scalar_text(job.name)}:"
    yield f"    agents: [{scalar_text(agent)}]"
    rules = _rules(job.context, around)
    if rules:
        yield f"    context: {{{', '.join(f'{scalar_text(name)}: {text}' for name, text in rules.items())}}}"
    only = (
        f"{scalar_text(name)}: {{verbs: [{', '.join(map(scalar_text, verbs))}]}}" for name, verbs in job.verbs.items()
    )
    yield f"    only: {{{', '.join(only)}}}"


def _rules(context: Mapping[str, ValueType], around: Around) -> dict[str, str]:
    """Return how each session value comes: as the policy has it, which may look it up; else it is brought."""
    known: dict[str, ContextRule] = {}
    for task in around.policy.tasks.values() if around.policy is not None else ():
        known.update({name: rule for name, rule in task.context.items() if name not in known})
    found: dict[str, str] = {}
    pending: list[tuple[str, str]] = list(context.items())
    while pending:
        name, kind = pending.pop(0)
        rule = known.get(name)
        if name in found:
            continue
        if rule is None:
            found[name] = kind
            continue
        parts = {"type": rule.type, "from": rule.source, "by": rule.by, "column": rule.column, "claim": rule.claim}
        said = [f"{key}: {text}" for key, text in parts.items() if text is not None]
        found[name] = rule.type if len(said) == 1 else f"{{{', '.join(said)}}}"
        if rule.by is not None:
            pending.append((rule.by, "string"))
    return found


def _mounts(mapped: Sequence[Mapped]) -> Iterator[str]:
    """Yield mounts for what was seen, where no policy has any; where they are is for people to say."""
    yield ""
    yield "mounts:"
    of: dict[tuple[str, bool], list[Mapped]] = {}
    for each in mapped:
        of.setdefault((each.mount or "tools", each.kind == "table"), []).append(each)
    names = {name for name, _ in of}
    for (name, is_database), members in sorted(of.items()):
        shown = name if not is_database or (name, False) not in of else f"{name}-data"
        yield f"  {scalar_text(shown)}:"
        address = "".join(c if c.isascii() and c.isalnum() else "_" for c in shown).upper()
        address = address if not address[:1].isdigit() else f"X_{address}"
        if is_database:
            tables = {each.resource: each.table or each.name for each in members}
            yield "    kind: postgres"
            yield f"    url: ${{{address}_URL}}"
            yield "    resources:"
            yield from (f"      {scalar_text(key)}: {{table: {scalar_text(table)}}}" for key, table in tables.items())
            continue
        yield "    kind: python"
        yield "    functions:"
        for each in members:
            listed = ", ".join(scalar_text(argument) for argument in each.arguments if argument.isidentifier())
            action = scalar_text(f"{each.resource}:{each.verb}")
            yield f"      {scalar_text(each.name)}: {{action: {action}, parameters: [{listed}]}}"
    if not names:
        yield "  {}"


def matcher_text(matcher: Matcher) -> str:
    """Return a matcher as the policy's text has it."""
    match matcher:
        case Equal(operand):
            return operand_text(operand)
        case OneOf(operands):
            return f"[{', '.join(operand_text(each) for each in operands)}]"
        case Anything():
            return "any"
        case Empty(expected):
            return f"{{empty: {'true' if expected else 'false'}}}"
        case Within(span):
            return f"{{within: {_duration(span)}}}"
        case Bound(low, high, over, under):
            ends = {"min": low, "max": high, "over": over, "under": under}
            given = (f"{name}: {operand_text(end)}" for name, end in ends.items() if end is not None)
            return f"{{{', '.join(given)}}}"
        case Prefix(operand):
            return f"{{prefix: {operand_text(operand)}}}"
        case Glob(pattern):
            return f"{{glob: {_quoted(pattern)}}}"
        case Not(inner):
            return f"{{not: {matcher_text(inner)}}}"
        case Every(parts):
            return "{" + ", ".join(matcher_text(each)[1:-1] for each in parts) + "}"


def operand_text(operand: Operand) -> str:
    """Return one value as the policy's text has it."""
    if isinstance(operand, Ref):
        return str(operand)
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, int | Decimal):
        return f"{operand:f}" if isinstance(operand, Decimal) else str(operand)
    if isinstance(operand, date):
        return _quoted(operand.isoformat())
    return scalar_text("$" + operand if operand.startswith("$") else operand)


def evidence_text(evidence: Evidence) -> str:
    """Return evidence in one line."""
    share = f"{evidence.low:.0%} to {evidence.high:.0%}"
    text = f"{evidence.calls} calls, {evidence.sessions} sessions ({share}), {evidence.people} people"
    examples = f"; e.g. {', '.join(_plain(each) for each in evidence.examples)}" if evidence.examples else ""
    return f"{text}, {_span(evidence.first, evidence.last)}{examples}"


def _span(first: datetime | None, last: datetime | None) -> str:
    if first is None or last is None:
        return "at no time"
    return f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _mask(mask: Mask) -> str:
    return mask.name if mask.arg is None else f"{{{mask.name}: {mask.arg}}}"


def _duration(span: timedelta) -> str:
    return f"{int(span.total_seconds())}s"


def _quoted(text: str) -> str:
    found = scalar_text(text)
    return found if found.startswith('"') else f'"{found}"'


def _plain(text: str) -> str:
    """Return text that ends neither its line nor the comment."""
    return "".join(c if c.isprintable() else " " for c in text)[:300]
