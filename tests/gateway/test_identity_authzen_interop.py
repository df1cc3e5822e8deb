"""AuthZEN's published interoperability fixtures: their requests as they are, decided as they say.

From github.com/openid/authzen: `interop/authzen-todo-backend/test/decisions-authorization-api-1_0-02.json` (the "todo"
scenario, MIT) and `interop/authzen-api-gateways/test-harness/test/decisions.json` (API gateways, MIT). The requests are
written out from tables, in their order. What the fixtures leave to each implementation is the policy below, the names
in `authzen` of gateway.yaml, and where attributes of people come from: here a session that was opened for each of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import cast

import pytest
from identity_rig import CLEARANCE, URL, Desk, make_desk

from bailiwick.control.authzen import AuthZen
from bailiwick.control.callers import Callers
from bailiwick.control.web import Asked
from bailiwick.gateway.config import load_config
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.session import User
from bailiwick.policy.load import load
from bailiwick.policy.locked_tools import locked_route

Body = Mapping[str, object]

POLICY = """
bailiwick: 1
mounts:
  list:
    kind: postgres
    url: ${LIST_URL}
    resources:
      todo: {table: public.todo, key: id}
      user: {table: public.user, key: id}
  backend:
    kind: http
    url: https://todo.example
    routes:
      GET /users/{userId}: {action: people:read, path: {userId: string}}
      GET /todos: {action: lists:read}
      POST /todos: {action: lists:create, body: {title: string}}
      PUT /todos/{todoId}: {action: lists:update, path: {todoId: string}, body: {title: string}}
      DELETE /todos/{todoId}: {action: lists:delete, path: {todoId: string}}
roles:
  viewer:
    grants:
      - {allow: "user:read", reason: pictures of who owns a todo}
      - {allow: "todo:read", reason: the list is shared}
      - {allow: "people:read", reason: likewise, args: {path.userId: any}}
      - {allow: "lists:read", reason: likewise}
  editor:
    inherits: [viewer]
    grants:
      - {allow: "todo:create", reason: writes todos, fields: [title], when: 'EDITS'}
      - {allow: "todo:update", reason: its own, fields: [title], rows: {ownerID: $user.email}, when: 'EDITS'}
      - {allow: "todo:delete", reason: its own, rows: {ownerID: $user.email}, when: 'EDITS'}
      - {allow: "lists:create", reason: writes todos, args: {body.title: any}, when: 'EDITS'}
      - {allow: "lists:update", reason: of their owners, args: {path.todoId: any, body.title: any}, when: 'EDITS'}
      - {allow: "lists:delete", reason: of their owners, args: {path.todoId: any}, when: 'EDITS'}
  powers:
    inherits: [editor]
    grants:
      - {allow: "todo:delete", reason: of everybody, when: '"admin" in session.user.groups'}
      - {allow: "todo:update", reason: of everybody, fields: [title], when: '"evil_genius" in session.user.groups'}
agents:
  todo-bot: {owner: todo, purpose: keeps the list, roles: [powers]}
gates:
  delete: {loosen: ["todo:delete", "lists:delete"], reason: todos are written again}
""".replace("EDITS", 'session.user.groups.exists(g, g in ["editor", "admin", "evil_genius"])')
NAMES = """
authzen:
  subjects: {user: todo-bot, identity: todo-bot}
  actions:
    can_read_user: read
    can_read_todos: read
    can_create_todo: {verb: create, fields: [title]}
    can_update_todo: {verb: update, fields: [title]}
    can_delete_todo: delete
"""
PID = "CiRmZ{}MTRkMy1jMzlhLTQ3ODEtYjdiZC04Yjk2ZjVhNTEwMGQSBWxvY2Fs"
PEOPLE = {  # the subject's id, the name of an owner, roles
    "rick": (PID.format("DA2"), "rick@the-citadel.com", "admin evil_genius"),
    "morty": (PID.format("DE2"), "morty@the-citadel.com", "editor"),
    "summer": (PID.format("DI2"), "summer@the-smiths.com", "editor"),
    "beth": (PID.format("DM2"), "beth@the-smiths.com", "viewer"),
    "jerry": (PID.format("DQ2"), "jerry@the-smiths.com", "viewer"),
}
OWNED = {
    "morty": "7240d0db-8ff0-41ec-98b2-34a096273b91",
    "rick": "7240d0db-8ff0-41ec-98b2-34a096273b92",
    "summer": "7240d0db-8ff0-41ec-98b2-34a096273b93",
    "beth": "7240d0db-8ff0-41ec-98b2-34a096273b94",
    "jerry": "7240d0db-8ff0-41ec-98b2-34a096273b95",
}
OTHER = {"rick": "morty"}
"""Whose todos are asked about beside Rick's: his or her own, but for Rick himself."""
EXPECTED = {  # read Beth, read oneself, list, create, update Rick's, update one's own, delete Rick's, delete one's own
    "rick": "yyyyyyyy",
    "morty": "yyyynyny",
    "summer": "yyyynyny",
    "beth": "yyynnnnn",
    "jerry": "yyynnnnn",
}
BATCHES = (("rick", ("rick", "jerry"), "yy"), ("morty", ("rick", "morty"), "ny"), ("jerry", ("rick", "jerry"), "nn"))
ROUTES = (("GET", "/users/{userId}"), ("GET", "/todos"), ("POST", "/todos"), ("PUT", "/todos/{todoId}"))
ROUTED = {"rick": "yyyyy", "morty": "yyyyy", "summer": "yyyyy", "beth": "yynnn", "jerry": "yynnn"}


def _question(person: str, action: str, kind: str, identity: str, owner: str = "") -> Body:
    resource: dict[str, object] = {"type": kind, "id": identity}
    if owner:
        resource["properties"] = {"ownerID": PEOPLE[owner][1]}
    return {"subject": {"type": "user", "id": PEOPLE[person][0]}, "action": {"name": action}, "resource": resource}


def _todo_questions() -> list[tuple[Body, bool]]:
    found: list[tuple[Body, bool]] = []
    for person, expected in EXPECTED.items():
        own = OTHER.get(person, person)
        questions = [
            _question(person, "can_read_user", "user", PEOPLE["beth"][1]),
            _question(person, "can_read_user", "user", PEOPLE[person][1]),
            _question(person, "can_read_todos", "todo", "todo-1"),
            _question(person, "can_create_todo", "todo", "todo-1"),
        ]
        for action in ("can_update_todo", "can_delete_todo"):
            questions += [_question(person, action, "todo", OWNED[owner], owner) for owner in ("rick", own)]
        found += [(question, answer == "y") for question, answer in zip(questions, expected, strict=True)]
    return found


def _batch(person: str, owners: tuple[str, ...]) -> Body:
    resources = [{"resource": _question(person, "", "todo", OWNED[owner], owner)["resource"]} for owner in owners]
    subject = {"type": "user", "id": PEOPLE[person][0]}
    return {"subject": subject, "action": {"name": "can_update_todo"}, "evaluations": resources}


def _routes() -> list[tuple[Body, bool]]:
    found: list[tuple[Body, bool]] = []
    for person, expected in ROUTED.items():
        subject = {"type": "identity", "id": PEOPLE[person][0]}
        for (method, path), answer in zip((*ROUTES, ("DELETE", "/todos/{todoId}")), expected, strict=True):
            question = {"subject": subject, "action": {"name": method}, "resource": {"type": "route", "id": path}}
            found.append((question, answer == "y"))
    return found


class Point:
    """The decision point, and a program that may ask it."""

    def __init__(self, desk: Desk, names: Path) -> None:
        self.desk = desk
        sessions = desk.rig.sessions
        config = load_config(names, {}, names / "gateway.yaml")
        self._zen = AuthZen(
            Callers(desk.oauth, desk.issuers, sessions, CLEARANCE), sessions, lambda: URL, config.authzen
        )
        self._token = ""

    async def ask(self, body: Body, path: str = "evaluation") -> Body:
        if not self._token:
            form = {"grant_type": "client_credentials", "resource": "bailiwick:api"}
            self._token = str((await self.desk.post("/oauth/token", "watcher", **form))[1]["access_token"])
        headers = {"content-type": "application/json", "authorization": f"Bearer {self._token}"}
        asked = Asked("POST", f"/access/v1/{path}", {}, headers, json.dumps(body).encode(), "127.0.0.1:9")
        reply = await (self._zen.evaluation if path == "evaluation" else self._zen.evaluations)(asked)
        assert reply.status == 200, reply.body
        return cast("Body", reply.body)

    async def open(self, person: str, groups: str | None = None) -> None:
        """Open a session for a person, by somebody who knows them."""
        identity, email, roles = PEOPLE[person]
        user = User(identity, frozenset((roles if groups is None else groups).split()), {"email": email})
        await self.desk.rig.opened(agent="todo-bot", task=None, user=user, tenant=None, values={})


@pytest.fixture
async def point(tmp_path: Path) -> AsyncIterator[Point]:
    loaded = load({"policy.yaml": POLICY})
    assert loaded.policy is not None, loaded.problems
    text = [LockedColumn(each, "text") for each in ("id", "title", "ownerID")]
    tables = {
        ("public", name): LockedTable("public", name, "r", tuple(text[:most]), ("id",))
        for name, most in (("todo", 3), ("user", 1))
    }
    routes = {each.key: locked_route(each) for each in loaded.policy.http["backend"].routes.values()}
    (tmp_path / "gateway.yaml").write_text(NAMES)
    desk = await make_desk(tmp_path, POLICY, Lock({"list": tables}, {"backend": routes}))
    made = Point(desk, tmp_path)
    for person in PEOPLE:
        await made.open(person)
    yield made
    await desk.rig.sessions.stop()
    await desk.rig.state.close()


async def test_todo_scenario_is_decided_as_published(point: Point) -> None:
    questions = _todo_questions()
    assert len(questions) == 40
    found = [(question, (await point.ask(question))["decision"]) for question, _ in questions]
    assert found == questions
    for person, owners, expected in BATCHES:
        told = cast("list[Body]", (await point.ask(_batch(person, owners), "evaluations"))["evaluations"])
        assert [each["decision"] for each in told] == [answer == "y" for answer in expected]


async def test_api_gateway_scenario_is_decided_as_published(point: Point) -> None:
    questions = _routes()
    assert len(questions) == 25
    assert [(question, (await point.ask(question))["decision"]) for question, _ in questions] == questions


async def test_names_open_nothing_by_themselves(point: Point) -> None:
    yes = _question("morty", "can_update_todo", "todo", OWNED["morty"], "morty")
    assert (await point.ask(yes))["decision"] is True
    subject, unsaid = {"type": "user", "id": "nobody"}, {"type": "todo", "id": OWNED["morty"]}
    for other in (
        {**yes, "subject": subject},
        {**yes, "subject": {"type": "admin", "id": PEOPLE["morty"][0]}},
        {**yes, "action": {"name": "can_do_anything"}},
        {**yes, "resource": unsaid},
    ):
        assert (await point.ask(other))["decision"] is False
    route = {**yes, "action": {"name": "PUT"}, "resource": {"type": "route", "id": "/backend/todos/{todoId}"}}
    assert (await point.ask(route))["decision"] is True
    for wrong in ("/other/todos/{todoId}", "/todos/5", "/todos/{id}"):
        asked = {**route, "resource": {"type": "route", "id": wrong}}
        assert (await point.ask(asked))["decision"] is False


async def test_of_several_sessions_of_a_person_all_have_to_allow_it(point: Point) -> None:
    asked = _question("morty", "can_create_todo", "todo", "todo-1")
    await point.open("morty")
    assert (await point.ask(asked))["decision"] is True
    await point.open("morty", groups="viewer")
    assert (await point.ask(asked))["decision"] is False
