"""OpenID AuthZEN 1.0: decisions for those who enforce them elsewhere, one or many at a time, each on record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import cast

from bailiwick.control.callers import Caller, Callers
from bailiwick.control.evaluation import Question, answer, told
from bailiwick.control.web import Asked, Json, Reply, json_object, problem
from bailiwick.decide.scope import effective_scope
from bailiwick.gateway.authzen_names import AuthZenNames
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.model.decision import Allow, Decision, Denial, Deny
from bailiwick.model.session import Session

_most = 100
"""Evaluations in one request."""
_longest = 512
_semantics = ("execute_all", "deny_on_first_deny", "permit_on_first_permit")
_CALLED = ("tool", "route")
Part = Mapping[str, Json]
_NO_SUBJECT = Denial("session_unknown", "there is no such subject", remedy="name an open session or an agent")


class QuestionError(Exception):
    """An evaluation that is not one. The message says what is wrong, and no value of it."""


class AuthZen:
    """The decision point."""

    def __init__(
        self, callers: Callers, sessions: Sessions, url: Callable[[], str], names: AuthZenNames | None = None
    ) -> None:
        """`names`: how those who ask name subjects and actions, beside what they are called here."""
        self._callers = callers
        self._sessions = sessions
        self._url = url
        self._names = names or AuthZenNames()

    def metadata(self) -> Mapping[str, Json]:
        """Return the metadata of the decision point."""
        url = self._url()
        return {
            "policy_decision_point": url,
            "access_evaluation_endpoint": f"{url}/access/v1/evaluation",
            "access_evaluations_endpoint": f"{url}/access/v1/evaluations",
        }

    async def evaluation(self, asked: Asked) -> Reply:
        """Answer one question."""
        caller = await self._callers.caller(asked)
        if isinstance(caller, Reply):
            return caller
        body = _body(asked)
        if isinstance(body, Reply):
            return body
        try:
            return Reply(200, await self._one(caller, body), _echoed(asked))
        except QuestionError as error:
            return problem(400, "protocol", str(error))

    async def evaluations(self, asked: Asked) -> Reply:
        """Answer several questions, which share what stands beside them."""
        caller = await self._callers.caller(asked)
        if isinstance(caller, Reply):
            return caller
        body = _body(asked)
        if isinstance(body, Reply):
            return body
        try:
            shared, listed, semantic = _batch(body)
            if not listed:
                return Reply(200, await self._one(caller, shared), _echoed(asked))
            return Reply(200, {"evaluations": await self._many(caller, shared, listed, semantic)}, _echoed(asked))
        except QuestionError as error:
            return problem(400, "protocol", str(error))

    async def _many(self, caller: Caller, shared: Part, listed: Sequence[Part], semantic: str) -> list[Json]:
        found: list[Json] = []
        for each in listed:
            try:
                one = await self._one(caller, {**shared, **each})
            except QuestionError as error:
                one = {"decision": False, "context": {"error": {"status": 400, "message": str(error)}}}
            found.append(one)
            if one["decision"] is (semantic == "permit_on_first_permit") and semantic != "execute_all":
                break
        return found

    async def _one(self, caller: Caller, body: Part) -> dict[str, Json]:
        subject, action, resource = (_part(body, name) for name in ("subject", "action", "resource"))
        _part(body, "context", needed=False)
        found = self._subjects(caller, subject)
        if not found:
            return await self._kept(caller, None, (action, resource), Deny(_NO_SUBJECT))
        # INVARIANT: of several sessions of one subject it is not known which one acts: all have to allow it
        decided = ((session, self._decided(session, live, action, resource)) for session, live in found)
        first = next(decided)
        session, decision = next((each for each in (first, *decided) if not isinstance(each[1], Allow)), first)
        return await self._kept(caller, session, (action, resource), decision)

    def _decided(self, session: Session, live: Live | None, action: Part, resource: Part) -> Decision:
        question = self._question(session, live, action, resource)
        blocked = None if live is None else live.refused(self._sessions.clock())
        return answer(question) if blocked is None else Deny(blocked)

    async def _kept(
        self, caller: Caller, session: Session | None, asked: tuple[Part, Part], decision: Decision
    ) -> dict[str, Json]:
        """Return the answer to a question about an action and a resource, which is on record by then."""
        denial = None if isinstance(decision, Allow) else decision.denial
        action, resource = _text(asked[0], "name")[:200], _text(asked[1], "type")[:200]
        recorder = self._sessions.recorder
        fact = Fact(
            "decision",
            "" if denial is None else denial.code,
            "" if denial is None else denial.message,
            policy=self._sessions.force.policy.version,
            detail={"caller": caller.name, "resource": resource},
        )
        record = recorder.make(fact, session)._replace(
            actions=(f"{resource}:{action}",),
            decision="allow" if denial is None else "deny",
            grants=decision.grants if isinstance(decision, Allow) else (),
        )
        await recorder.keep(record)
        return {"decision": denial is None, "context": {**told(decision), "record": record.id}}

    def _subjects(self, caller: Caller, subject: Part) -> list[tuple[Session, Live | None]]:
        """Return the sessions that a subject is: real ones, or that of an agent in a task, for nobody."""
        kind, identity = _text(subject, "type"), _text(subject, "id")
        if kind == "session":
            live = self._sessions.registry.get(identity)
            mine = caller.live is not None and caller.live is live
            return [] if live is None or not (mine or caller.has("viewer")) else [(live.session, live)]
        if kind == "agent" and caller.has("viewer"):
            task = _part(subject, "properties", needed=False).get("task")
            imagined = self._imagined(identity, task if isinstance(task, str) else None)
            return [] if imagined is None else [(imagined, None)]
        agent = self._names.subjects.get(kind)
        if agent is None or not caller.has("viewer"):
            return []
        every = ((live.session, live) for live in self._sessions.registry if live.ended is None)
        return [
            (session, live)
            for session, live in every
            if session.agent == agent and session.parent is None and session.user and session.user.id == identity
        ]

    def _imagined(self, agent: str, task: str | None) -> Session | None:
        now = self._sessions.clock()
        session = Session(
            id="",
            agent=agent,
            user=None,
            task=task,
            context={},
            tenant=None,
            opened_at=now,
            expires_at=now + timedelta(minutes=1),
            idle=None,
        )
        return None if agent not in self._sessions.force.policy.agents else session

    def _question(self, session: Session, live: Live | None, action: Part, resource: Part) -> Question:
        force = self._sessions.force
        asked, kind = _part(action, "properties", needed=False), _text(resource, "type")
        name = _text(action, "name")
        named = None if kind in _CALLED else self._names.actions.get(name)
        fields: Json = asked.get("fields", [] if named is None else [*named.fields])
        if not isinstance(fields, list) or not all(isinstance(each, str) for each in fields):
            raise QuestionError("`fields` of the action is not a list of texts")
        row = resource.get("properties")
        identity = resource.get("id")
        scope = effective_scope(force.policy, force.lock, session) if live is None else live.scope
        return Question(
            session=replace(session),
            scope=scope,
            policy=force.policy if live is None else live.terms.table.policy,
            now=self._sessions.clock(),
            mounts=None if live is None else live.mounts,
            resource=kind,
            identity=identity if isinstance(identity, str) and identity else None,
            row=None if row is None else {name: _exact(value) for name, value in _part(resource, "properties").items()},
            action=name if named is None else named.verb,
            fields=tuple(cast("list[str]", fields)),
            arguments=dict(asked) if kind in _CALLED else {},
        )


def _body(asked: Asked) -> Part | Reply:
    if asked.media != "application/json":
        return problem(415, "protocol", "the body is to be `application/json`")
    return json_object(asked) or problem(400, "protocol", "the body is not an object of JSON")


def _batch(body: Part) -> tuple[Part, Sequence[Part], str]:
    shared = {name: value for name, value in body.items() if name not in ("evaluations", "options")}
    listed = body.get("evaluations", [])
    if not isinstance(listed, list) or len(listed) > _most or not all(isinstance(each, dict) for each in listed):
        raise QuestionError(f"`evaluations` is not a list of at most {_most} objects")
    semantic = _part(body, "options", needed=False).get("evaluations_semantic", _semantics[0])
    if semantic not in _semantics:
        raise QuestionError("`evaluations_semantic` is none of " + ", ".join(_semantics))
    return shared, cast("list[Part]", listed), str(semantic)


def _part(body: Part, name: str, *, needed: bool = True) -> Part:
    found = body.get(name)
    if found is None and not needed:
        return {}
    if not isinstance(found, Mapping):
        raise QuestionError(f"`{name}` is not an object")
    return found


def _text(part: Part, name: str) -> str:
    found = part.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= _longest:
        raise QuestionError(f"`{name}` is not a text")
    return found


def _exact(value: Json) -> object:
    return Decimal(str(value)) if isinstance(value, float) else value


def _echoed(asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return the id of a request as it was given, if it can stand in a header."""
    given = asked.headers.get("x-request-id", "")
    fine = 0 < len(given) <= _longest and given.isascii() and given.isprintable()
    return (("x-request-id", given),) if fine else ()
