"""What was gathered → a draft: grants with their lines, questions, and what was kept out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bailiwick.learn.anomalies import set_aside
from bailiwick.learn.draft import Confidence, Draft, Evidence, Kept, Line, Mapped, Never, Proposed, Question
from bailiwick.learn.estimates import unseen, wilson
from bailiwick.learn.facts import Atom, Deed, Slot
from bailiwick.learn.forms import tool_grants
from bailiwick.learn.gathering import Gathered
from bailiwick.learn.jobs import jobs_of, parts_of
from bailiwick.learn.judging import Judged, by_session, constant_rows, judge
from bailiwick.learn.paces import batch_of, hours_of, most_actions, pace_of
from bailiwick.learn.settled import Settled, is_reading
from bailiwick.learn.surroundings import Around
from bailiwick.model.action import Action
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Anything, Matcher
from bailiwick.model.value import ValueType
from bailiwick.policy.types import references

_FEW_SESSIONS = 50


def propose(gathered: Gathered, around: Around) -> Draft:
    """Return the draft for one agent. `around` is what is known of the mounts; see `Around`."""
    aside = set_aside(gathered)
    settled = Settled(gathered, aside)
    view = _View(settled, around)
    grants, questions = view.grants()
    sessions = [gathered.sessions[each] for each in settled.sessions]
    once = [having[0] for having in settled.of_atom.values() if len(having) == 1]
    new = unseen(len(set(once)), len(sessions))
    context = _context(settled, grants)
    if gathered.beyond:
        text = f"{gathered.beyond} calls were left out: they brought ever more different columns and arguments"
        questions.append(Question(text))
    return Draft(
        agent=gathered.agent,
        calls=gathered.calls,
        refused=gathered.refused,
        sessions=len(sessions),
        people=len(settled.people(settled.sessions)),
        first=min((each.first for each in sessions), default=None),
        last=max((each.last for each in sessions), default=None),
        unseen=(new.low, new.high),
        grants=tuple(grants),
        questions=tuple(questions),
        jobs=jobs_of(settled, grants, context, view.action),
        hours=hours_of(settled),
        actions=most_actions(settled),
        kept_out=tuple(_kept(gathered, session, reasons) for session, reasons in aside.items()),
        never=tuple(_never(grants, around)),
        mapped=tuple(view.mapped()),
        context=context,
    )


def split(gathered: Gathered, around: Around) -> dict[str, str]:
    """Return which job each session belongs to, where the use falls apart into several; those kept out belong to none.

    Each job, learned by itself, is the draft of a specialised agent."""
    settled = Settled(gathered, set_aside(gathered))
    parts = parts_of(settled, lambda deed: Action(*around.action(gathered.deeds[deed])))
    if len(parts) < 2:
        return {}
    return {gathered.sessions[each].name: name for name, _, sessions in parts for each in sessions}


class _View:
    """What is left of the sessions, by deeds."""

    def __init__(self, settled: Settled, around: Around) -> None:
        self.settled = settled
        self.around = around
        self.parts: dict[int, list[tuple[Atom, list[int]]]] = {}
        """Deed → its parts, each with its sessions."""
        for number, having in settled.of_atom.items():
            atom = settled.gathered.atoms[number]
            self.parts.setdefault(atom.deed, []).append((atom, having))
        self.slots: dict[int, list[Slot]] = {}
        for slot in settled.gathered.slots.values():
            self.slots.setdefault(slot.deed, []).append(slot)
        self.maskable = _maskable(self)

    def action(self, number: int) -> Action:
        """Return the action of a deed."""
        deed = self.settled.gathered.deeds[number]
        return Action(*self.around.action(deed))

    def grants(self) -> tuple[list[Proposed], list[Question]]:
        """Return what is proposed, in order of mount, resource and verb; and what is asked."""
        found: list[Proposed] = []
        asked: list[Question] = []
        deeds = self.settled.gathered.deeds
        for number in sorted(self.parts, key=lambda each: deeds[each]):
            deed = deeds[number]
            if not self.around.knows(deed):
                text = f"`{deed.name}` is mapped by no mount: map it, then learn again"
                asked.append(Question(text, deed.name))
                continue
            proposed, questions = self._table(number) if deed.kind == "table" else self._tool(number)
            found += proposed
            asked += questions
        return found, asked

    def evidence(self, number: int) -> Evidence:
        """Return the evidence for a deed."""
        gathered = self.settled.gathered
        forms = {n for n, form in enumerate(gathered.forms) if number in form.deeds}
        sessions = self._sessions(number)
        calls = 0
        for each in sessions:
            done = gathered.sessions[each].forms
            calls += sum(done[form] for form in done.keys() & forms)
        uses = [gathered.uses[each] for each in sorted(forms)]
        examples = [record for use in uses for record, session in use.examples if session not in self.settled.aside]
        share = wilson(len(sessions), len(self.settled.sessions))
        return Evidence(
            calls=calls,
            sessions=len(sessions),
            people=len(self.settled.people(sessions)),
            first=min(gathered.sessions[each].first for each in sessions),
            last=max(gathered.sessions[each].last for each in sessions),
            examples=tuple(examples[:3]),
            low=share.low,
            high=share.high,
        )

    def _table(self, number: int) -> tuple[list[Proposed], list[Question]]:
        deed = self.settled.gathered.deeds[number]
        parts = self.parts[number]
        evidence = self.evidence(number)
        lines: list[Line] = []
        questions: list[Question] = []
        wanted = "touched" if deed.verb == "read" else "written"
        columns = {atom.name: having for atom, having in parts if atom.what == wanted}
        hashed = {name for name in columns if deed.verb == "read" and self.around.hidden(deed.resource, name)}
        masks = {
            name: Mask("hash")
            for name in columns
            if name in hashed or (deed.verb == "read" and (deed.resource, name) in self.maskable)
        }
        questions += [
            Question(f"`{deed.resource}.{name}` is restricted, and stays a hash: is it needed in clear?", name)
            for name in sorted(hashed)
            if (deed.resource, name) not in self.maskable
        ]
        for name, having in sorted(columns.items()):
            shown = f"{wanted} by {len(having)} sessions"
            if name in masks:
                shown = "restricted: as a hash" if name in hashed else "only counted, joined or compared: masked"
            lines.append(Line(f"field {name}", "as seen", self._confidence(having), shown))
        rows = self._rows(number, lines)
        given: dict[str, Matcher] = {}
        for slot in self._slots(number, "set"):
            judged = judge(self.settled, slot)
            if "null" in slot.types or slot.name not in columns or isinstance(judged.matcher, Anything):
                continue
            given[slot.name] = judged.matcher
            lines.append(Line(f"set {slot.name}", judged.generalisation, judged.confidence, judged.why, judged.new))
            if judged.ask:
                questions.append(Question(f"{deed.resource}:{deed.verb}: {judged.ask}"))
        known = self.around.resource(deed.resource)
        if deed.verb == "read" and not columns and known is not None:
            columns = dict.fromkeys(known.key, self._sessions(number))  # its rows are counted, and nothing is read
        if deed.verb != "delete" and not columns:
            return [], [Question(f"`{self.action(number)}`: which columns it needs was not seen")]
        whole = Proposed(
            mount=deed.mount,
            action=self.action(number),
            reason=_reason(evidence),
            evidence=evidence,
            confidence=self._confidence(self._sessions(number)),
            lines=tuple(lines),
            fields=tuple(sorted(columns)) if deed.verb != "delete" else None,
            rows=rows,
            mask=masks,
            set=given,
            limits=_limits(self.settled, number, deed),
        )
        return self._as_in_force(whole), questions

    def _as_in_force(self, whole: Proposed) -> list[Proposed]:
        """Return the grant within the row filters that the agent has already: what was seen may not tell of them."""
        kept = self.around.in_force(self.settled.gathered.agent, whole.action.resource, whole.action.verb)
        if whole.rows or not kept or not all(each.rows for each in kept):
            return [whole]
        found: list[Proposed] = []
        for each in kept:
            lines = [Line(f"rows {name}", "as seen", "medium", "as the policy in force has it") for name in each.rows]
            masks = {name: mask for name, mask in each.mask.items() if name in (whole.fields or ())}
            one = replace(whole, rows=each.rows, mask={**whole.mask, **masks}, lines=(*whole.lines, *lines))
            if not any(one.rows == other.rows and one.mask == other.mask for other in found):
                found.append(one)
        return found

    def _rows(self, number: int, lines: list[Line]) -> dict[str, Matcher]:
        found: dict[str, Matcher] = {}
        if self.settled.gathered.deeds[number].verb == "create":
            return found
        for slot in self._slots(number, "row"):
            judged = by_session(self.settled, slot) or constant_rows(self.settled, slot)
            if judged is not None and not isinstance(judged.matcher, Anything):
                found[slot.name] = judged.matcher
                lines.append(
                    Line(f"rows {slot.name}", judged.generalisation, judged.confidence, judged.why, judged.new)
                )
        return found

    def _tool(self, number: int) -> tuple[list[Proposed], list[Question]]:
        deed = self.settled.gathered.deeds[number]
        evidence = self.evidence(number)
        names = sorted(atom.name for atom, _ in self.parts[number] if atom.what == "argument")
        slots = {slot.name: slot for slot in self._slots(number, "argument")}
        elements = {slot.name: slot for slot in self._slots(number, "element")}
        judged = {name: judge(self.settled, slots[name]) for name in names if name in slots}
        lists: dict[str, Judged] = {
            name: judge(self.settled, elements[name])
            for name in names
            if name in elements and set(slots[name].types) <= {"list", "null"} and not elements[name].partial
        }
        whole = Proposed(
            mount=deed.mount,
            action=self.action(number),
            reason=_reason(evidence),
            evidence=evidence,
            confidence=self._confidence(self._sessions(number)),
            limits=_limits(self.settled, number, deed),
            tool=deed.name,
        )
        grants = tool_grants(self.settled, number, whole, judged, lists)
        asked = [Question(f"{whole.action}: {each.ask}") for each in judged.values() if each.ask]
        return grants, asked

    def _slots(self, number: int, place: str) -> list[Slot]:
        return sorted((each for each in self.slots.get(number, ()) if each.place == place), key=lambda each: each.name)

    def _sessions(self, number: int) -> list[int]:
        return next((having for atom, having in self.parts[number] if atom.what == "deed"), list[int]())

    def _confidence(self, having: Sequence[int]) -> Confidence:
        """Ten sessions of two people (or of the only one) are much, three are some."""
        everybody = len(self.settled.people(self.settled.sessions))
        several = len(self.settled.people(list(having))) > 1 or everybody == 1
        if len(having) >= 10 and several:
            return "high"
        return "medium" if len(having) >= 3 else "low"

    def mapped(self) -> list[Mapped]:
        """Return what mounts would have to map, where there is no policy that does."""
        gathered = self.settled.gathered
        found: list[Mapped] = []
        for number, parts in self.parts.items():
            deed = gathered.deeds[number]
            names = tuple(sorted(atom.name for atom, _ in parts if atom.what == "argument"))
            resource, verb = self.around.action(deed)[:2]
            table = gathered.tables.get(number, "")
            found.append(Mapped(deed.mount, deed.kind, deed.name, resource, verb, table, names))
        return sorted(found, key=lambda each: (each.mount, each.resource, each.verb, each.name))


def _reason(evidence: Evidence) -> str:
    calls, sessions = f"{evidence.calls} call", f"{evidence.sessions} session"
    return f"learned from {calls}{'s' * (evidence.calls != 1)} in {sessions}{'s' * (evidence.sessions != 1)}"


def _limits(settled: Settled, number: int, deed: Deed) -> dict[str, str]:
    """Return the pace of a deed, and of a write how many rows one statement may touch."""
    found = {"actions": pace_of(settled, number)}
    if deed.kind == "table" and deed.verb != "read":
        batch = batch_of(settled, number)
        if batch:
            found["batch"] = str(batch)
    return found if not (is_reading(deed) and len(settled.sessions) < _FEW_SESSIONS) else {}


def _maskable(view: _View) -> set[tuple[str, str]]:
    """Return sensitive columns that are only counted, compared, or joined with columns that are such, too."""
    gathered = view.settled.gathered
    touched, clear = set[tuple[str, str]](), set[tuple[str, str]]()
    for number in view.settled.of_atom:
        atom = gathered.atoms[number]
        at = (gathered.deeds[atom.deed].resource, atom.name)
        if atom.what == "touched":
            touched.add(at)
        elif atom.what == "clear":
            clear.add(at)
    found = {at for at in touched - clear if view.around.sensitive(*at)}
    partners = [(a, b) for a, b in gathered.links] + [(b, a) for a, b in gathered.links]
    while lost := {a for a, b in partners if a in found and b not in found}:
        found -= lost
    return found


def _context(settled: Settled, grants: Sequence[Proposed]) -> dict[str, ValueType]:
    """Return the session values that the grants name, with their types."""
    found = dict[str, ValueType]()
    named = {
        ref.path[0]
        for grant in grants
        for each in (grant.rows, grant.set, grant.args or {})
        for matcher in each.values()
        for ref in references(matcher)
        if len(ref.path) == 1 and ref.path[0] != "tenant"
    }
    for name in sorted(named):
        of_sessions = (settled.gathered.sessions[each].values.get(name) for each in settled.sessions)
        known: list[ValueType] = [_as_context(seen.type) for seen in of_sessions if seen is not None]
        found[name] = known[0] if known else _as_context("string")
    return found


def _as_context(seen: str) -> ValueType:
    match seen:
        case "integer" | "number" | "boolean" | "uuid" | "date" | "timestamp":
            return seen
        case _:
            return "string"


def _kept(gathered: Gathered, session: int, reasons: Sequence[str]) -> Kept:
    use = gathered.sessions[session]
    records = [record for each in gathered.uses for record, number in each.examples if number == session]
    return Kept(use.name, gathered.people[use.person], use.first, tuple(dict.fromkeys(reasons)), tuple(records[:3]))


def _never(grants: Sequence[Proposed], around: Around) -> list[Never]:
    """Return the sensitive columns of known tables that no grant needs."""
    touched = {(each.action.resource, name) for each in grants for name in each.fields or ()}
    return [each for each in around.sensitive_columns() if (each.resource, each.column) not in touched]
