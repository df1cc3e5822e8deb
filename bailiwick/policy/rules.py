"""Gates, elevations, flows, review and retention: YAML → the rules of `model.policy`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Literal

from bailiwick.model.action import Action
from bailiwick.model.policy import UNUSED_AFTER, ApproverGroup, ElevationRule, Flow, Gate, Retention, ReviewRule
from bailiwick.model.tool import effects
from bailiwick.policy.document import Block, Entry, Leaf, Node
from bailiwick.policy.expect import block, choice, count, listed, names, required, several, text
from bailiwick.policy.matchers import matchers
from bailiwick.policy.problem import quoted
from bailiwick.policy.reading import ActionUse, Reading
from bailiwick.policy.values import action, duration

terms_keys = ("approvers", "quorum", "escalate", "reauth", "expires", "mode", "message")
"""What any gate may say of how it is opened."""
gate_keys = ("on", "args", *terms_keys, "loosen", "reason")
approvers_keys = ("users", "groups")
escalate_keys = ("after", "to")
most_approvals = 10
elevation_keys = ("role", "for", "max", "approvers")
flow_keys = ("after", "hold", "deny", "targets")
review_keys = ("every", "restricted", "unused_after", "overdue", "approvers")
shortest_review = timedelta(days=1)
built_in_gates = ("delete", "restricted", "queue", *effects)
_EFFECTS = {name: name for name in ("external", "irreversible", "access_control", "money")}


def gate(reading: Reading, entry: Entry) -> Gate | None:
    """Return a gate of the policy's own, or what is said about a built-in one."""
    found = block(reading.report, entry.value, f"gate {quoted(entry.key)}", gate_keys)
    if found is None:
        return None
    return _built_in(reading, entry, found) if entry.key in built_in_gates else _own(reading, entry, found)


def _built_in(reading: Reading, entry: Entry, found: Block) -> Gate:
    report, what = reading.report, f"the built-in gate {quoted(entry.key)}"
    for key in found.entries.values():
        queue = entry.key == "queue"  # what a grant sends there itself
        if key.key == "on" or (key.key == "args" and entry.key not in effects) or (queue and key.key == "loosen"):
            message = f"`{key.key}` has no meaning for {what}"
            takes = "how it is opened" if queue else "`loosen` with `reason`, and how it is opened"
            report.error(key.position, "misplaced_key", message, f"it takes {takes}")
    loosen, reason, args = found.get("loosen"), found.get("reason"), found.get("args")
    if (loosen or args) and reason is None:
        required(report, found, "reason", what)
    if not found.entries:
        report.error(
            found.position, "missing_key", f"{what} says nothing", "give it `loosen` with `reason`, or `approvers`"
        )
    verb = {"delete": "delete", "restricted": "read"}.get(entry.key)
    actions = several(report, loosen.value, "`loosen`", lambda _, n, w: _action(reading, n, w, verb)) if loosen else ()
    said = (text(report, reason.value, "`reason`") or "") if reason else ""
    held = matchers(reading, args.value, f"`args` of {what}") if args else {}
    made = Gate(entry.key, args=held, loosen=actions, reason=said, position=entry.position)
    return _with_terms(reading, found, what, made)


def _with_terms(reading: Reading, found: Block, what: str, gate: Gate) -> Gate:
    """Return a gate with what is said of how it is opened."""
    report = reading.report
    approvers, expires, mode = found.get("approvers"), found.get("expires"), found.get("mode")
    quorum, reauth, message = found.get("quorum"), found.get("reauth"), found.get("message")
    modes: dict[str, Literal["wait", "execute"]] = {"wait": "wait", "execute": "execute"}
    people = count(report, quorum.value, f"`quorum` of {what}") if quorum else 1
    if quorum and people is not None and not 1 <= people <= most_approvals:
        report.error(quorum.position, "bad_value", f"`quorum` of {what} is {people}", f"write 1 to {most_approvals}")
    escalate = found.get("escalate")
    after, to = _escalation(reading, escalate, what) if escalate else (None, ())
    return replace(
        gate,
        approvers=names(report, approvers.value, f"`approvers` of {what}", least=1) if approvers else (),
        expires=duration(report, expires.value, f"`expires` of {what}") if expires else None,
        mode=(choice(report, mode.value, f"`mode` of {what}", modes) or "wait") if mode else "wait",
        quorum=people or 1,
        escalate_after=after,
        escalate_to=to,
        reauth=duration(report, reauth.value, f"`reauth` of {what}") if reauth else None,
        message=(text(report, message.value, f"`message` of {what}") or "") if message else "",
    )


def _escalation(reading: Reading, entry: Entry, what: str) -> tuple[timedelta | None, tuple[str, ...]]:
    report, name = reading.report, f"`escalate` of {what}"
    found = block(report, entry.value, name, escalate_keys)
    if found is None:
        return None, ()
    after, to = required(report, found, "after", name), required(report, found, "to", name)
    return (
        duration(report, after.value, f"`after` of {name}") if after else None,
        names(report, to.value, f"`to` of {name}", least=1) if to else (),
    )


def approver_group(reading: Reading, entry: Entry) -> ApproverGroup | None:
    """Return a group of reviewers."""
    report, what = reading.report, f"approvers {quoted(entry.key)}"
    found = block(report, entry.value, what, approvers_keys)
    if found is None:
        return None
    users, groups = found.get("users"), found.get("groups")
    if users is None and groups is None:
        report.error(found.position, "missing_key", f"{what} has neither `users` nor `groups`", "name at least one")
    return ApproverGroup(
        entry.key,
        _people(reading, users, f"`users` of {what}"),
        _people(reading, groups, f"`groups` of {what}"),
        entry.position,
    )


def _people(reading: Reading, entry: Entry | None, what: str) -> tuple[str, ...]:
    """Return names as an issuer gives them: any text."""
    if entry is None:
        return ()
    found = several(reading.report, entry.value, what, text)
    return tuple(dict.fromkeys(found))


def _action(reading: Reading, node: Node, what: str, verb: str | None) -> Action | None:
    found = action(reading.report, node, what)
    if found is None:
        return None
    reading.actions.append(ActionUse(found, node.position, what))
    if verb is None:  # the gate of an effect: it holds calls of tools, whatever their verb
        if found.resource != "*" and found.resource not in reading.tool_resources:
            message = f"{what}: {quoted(str(found))} is nothing that this gate holds"
            reading.report.error(node.position, "bad_action", message, "name the action of a tool")
        return found
    if found.resource in reading.tool_resources and found.field is not None:
        message = f"{what}: {quoted(str(found))}: a tool's action has no third part"
        reading.report.error(node.position, "bad_action", message, f"write `{found.resource}:{found.verb}`")
        return found
    if found.verb != verb or (found.field is not None and verb == "delete"):
        message = f"{what}: {quoted(str(found))} is nothing that this gate holds"
        reading.report.error(node.position, "bad_action", message, f"write `{found.resource}:{verb}`")
    return found


def _own(reading: Reading, entry: Entry, found: Block) -> Gate:
    report, what = reading.report, f"gate {quoted(entry.key)}"
    loosen = found.get("loosen")
    if loosen:
        message = f"`loosen` has no meaning for {what}, only for built-in gates"
        report.error(loosen.position, "misplaced_key", message, "remove it")
    on, args, reason = required(report, found, "on", what), found.get("args"), found.get("reason")
    required(report, found, "approvers", what)
    held = action(report, on.value, "`on`") if on else None
    if on and held:
        reading.actions.append(ActionUse(held, on.value.position, "`on`"))
    made = Gate(
        name=entry.key,
        on=held,
        args=matchers(reading, args.value, f"`args` of {what}") if args else {},
        reason=(text(report, reason.value, "`reason`") or "") if reason else "",
        position=entry.position,
    )
    return _with_terms(reading, found, what, made)


def elevation(reading: Reading, entry: Entry) -> ElevationRule | None:
    """Return the rule of an elevation: which role, for whom, for how long at most, and who may give it."""
    report, what = reading.report, f"elevation {quoted(entry.key)}"
    found = block(report, entry.value, what, elevation_keys)
    if found is None:
        return None
    role, agents = required(report, found, "role", what), required(report, found, "for", what)
    longest, approvers = required(report, found, "max", what), required(report, found, "approvers", what)
    if role:
        reading.roles.extend(listed(role.value))
    if agents:
        reading.agents.extend(listed(agents.value))
    return ElevationRule(
        name=entry.key,
        role=(text(report, role.value, f"`role` of {what}") or "") if role else "",
        agents=names(report, agents.value, f"`for` of {what}", least=1) if agents else (),
        max=(duration(report, longest.value, f"`max` of {what}") if longest else None) or timedelta(),
        approvers=names(report, approvers.value, f"`approvers` of {what}", least=1) if approvers else (),
        position=entry.position,
    )


def flow(reading: Reading, entry: Entry) -> Flow | None:
    """Return a rule about where labelled data may go, or where targets may come from."""
    report, what = reading.report, f"flow {quoted(entry.key)}"
    found = block(report, entry.value, what, flow_keys)
    if found is None:
        return None
    after, hold, deny, targets = found.get("after"), found.get("hold"), found.get("deny"), found.get("targets")
    if after is None and targets is None:
        report.error(found.position, "missing_key", f"{what} has neither `after` nor `targets`", "add one of them")
    if (hold or deny) is None and after:
        report.error(found.position, "missing_key", f"{what} has neither `hold` nor `deny`", "add one of them")
    return Flow(
        name=entry.key,
        after=text(report, after.value, f"`after` of {what}") if after else None,
        hold=choice(report, hold.value, f"`hold` of {what}", _EFFECTS) if hold else None,
        deny=choice(report, deny.value, f"`deny` of {what}", _EFFECTS) if deny else None,
        targets=choice(report, targets.value, f"`targets` of {what}", {"trusted": "trusted"}) if targets else None,
        position=entry.position,
    )


def retention(reading: Reading, entry: Entry) -> Retention | None:
    """Return how long records are kept: one span for all, or `default` and by label."""
    report = reading.report
    if isinstance(entry.value, Leaf):
        span = duration(report, entry.value, "`retention`")
        return None if span is None else Retention(span)
    found = block(report, entry.value, "`retention`", ("default", "labels"))
    if found is None:
        return None
    default, labels = found.get("default"), found.get("labels")
    by_label = block(report, labels.value, "`labels` of `retention`") if labels else None
    spans: dict[str, timedelta] = {}
    for item in by_label.entries.values() if by_label else ():
        span = duration(report, item.value, f"`{item.key}` of `retention`")
        if span is not None:
            spans[item.key] = span
    return Retention(duration(report, default.value, "`default` of `retention`") if default else None, spans)


def review(reading: Reading, entry: Entry) -> ReviewRule | None:
    """Return how often grants are to be recertified."""
    report = reading.report
    found = block(report, entry.value, "`review`", review_keys)
    if found is None:
        return None
    required(report, found, "every", "`review`")
    overdue, approvers = found.get("overdue"), found.get("approvers")
    outcomes: dict[str, Literal["warn", "revoke"]] = {"warn": "warn", "revoke": "revoke"}
    every, unused = _span(reading, found, "every"), _span(reading, found, "unused_after")
    return ReviewRule(
        every=every or shortest_review,
        restricted=_span(reading, found, "restricted"),
        unused_after=unused or UNUSED_AFTER,
        overdue=(choice(report, overdue.value, "`overdue`", outcomes) or "warn") if overdue else "warn",
        approvers=names(report, approvers.value, "`approvers` of `review`", least=1) if approvers else (),
    )


def _span(reading: Reading, found: Block, key: str) -> timedelta | None:
    """Return a time of `review`: at least a day, since evidence is counted in days."""
    entry = found.get(key)
    span = duration(reading.report, entry.value, f"`{key}`") if entry else None
    if entry and span is not None and span < shortest_review:
        message = f"`{key}` of `review` is less than a day"
        reading.report.error(entry.position, "bad_value", message, "write `1d` or more")
        return None
    return span
