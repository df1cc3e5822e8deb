"""Who comes in, and with which page's leave: every page and every action of the console stands behind this.

INVARIANT: an action runs only for a POST whose `Origin` is the console's own and whose form carries the login's token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit

from bailiwick.console.cookies import Jar, cookies
from bailiwick.console.logins import Logins, same, token_of
from bailiwick.console.rendering import Renderer, moved
from bailiwick.control.web import Asked, Handler, Reply, form
from bailiwick.errors import BailiwickError
from bailiwick.gateway.identity import Role
from bailiwick.gateway.sessions.logins import Login
from bailiwick.model.label import Level
from bailiwick.model.suspension import Suspension

ROOT = "/console"
_statuses = {"backend": 502, "ledger": 503, "config": 503, "session": 404, "protocol": 400}
Shape = Literal["page", "part"]
_recorded = ("reason", "verdict", "group", "line")
"""Fields of forms that stand in the record of an action. No others do: they may hold data."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of somebody who is logged in."""

    asked: Asked
    login: Login
    token: str
    """What its forms carry."""
    clearance: Level

    @property
    def query(self) -> Mapping[str, str]:
        """The query, without what is empty."""
        return {name: value for name, value in self.asked.query.items() if value}


Page = Callable[[Visit], Awaitable[Reply]]
Act = Callable[[Visit, Mapping[str, str]], Awaitable[Reply]]
"""(who, the form) → where it leads."""


class Doors:
    """Makes handlers of pages and actions."""

    def __init__(
        self,
        logins: Logins,
        renderer: Renderer,
        url: Callable[[], str],
        stopped: Callable[[], Suspension | None],
        observed: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.logins = logins
        self.renderer = renderer
        self._stopped = stopped
        self._observed = observed
        """That everything is suspended, if it is."""
        self.url = url
        """Where people reach the console, without a slash at the end."""

    def jar(self, asked: Asked) -> Jar:
        """Return the cookies of the place that a request was sent to: the public one, or this machine's own."""
        host, public = asked.headers.get("host", "").lower(), self.url()
        if host == urlsplit(public).netloc.lower():
            return Jar(public)
        return Jar(f"{'https' if asked.secure else 'http'}://{host}")

    def page(self, page: Page, *roles: Role, shape: Shape = "page") -> Handler:
        """Return who answers a GET: those with one of the roles see the page, others are asked to log in."""

        async def answer(asked: Asked) -> Reply:
            visit = await self.visit(asked, used=shape == "page")
            if visit is None:
                return self._to_login(asked) if shape == "page" else Reply(401)
            if not visit.login.has(*roles):
                return await self._forbidden(visit, roles)
            try:
                return await page(visit)
            except BailiwickError as error:
                return self.failed(visit, error)

        return answer

    def act(self, name: str, act: Act, *roles: Role) -> Handler:
        """Return who answers a POST: it is on record before it is done."""

        async def answer(asked: Asked) -> Reply:
            visit = await self.visit(asked)
            if visit is None:
                return moved(f"{ROOT}/login")
            given = self.checked(asked, visit.token)
            if given is None:
                return await self._refused(visit, name, "the request is not one of a page of this console")
            if not visit.login.has(*roles):
                return await self._forbidden(visit, roles)
            said = {key: given[key][:200] for key in _recorded if key in given}
            await self.logins.tell("console.action", visit.login, {"action": name, "of": asked.part[:200], **said})
            try:
                return await act(visit, given)
            except BailiwickError as error:
                return self.failed(visit, error)

        return answer

    async def visit(self, asked: Asked, *, used: bool = True) -> Visit | None:
        """Return who asks, if they are logged in."""
        secret = self.secret(asked)
        login = await self.logins.find(secret, used=used)
        if login is None:
            return None
        return Visit(asked, login, token_of(secret), self.logins.clearance(login))

    def secret(self, asked: Asked) -> str:
        """Return the value of the login's cookie; empty when there is none."""
        return cookies(asked.headers).get(self.jar(asked).login, "")

    def checked(self, asked: Asked, token: str) -> Mapping[str, str] | None:
        """Return the form of a request that comes from a page of our own, and carries the token; else None."""
        given = self.form_of_own(asked)
        return given if given is not None and same(given.get("csrf", ""), token) else None

    def form_of_own(self, asked: Asked) -> Mapping[str, str] | None:
        """Return the form of a request that comes from a page of our own; else None."""
        given = form(asked)
        if not self.is_own(asked) or given is None or any(len(values) > 1 for values in given.values()):
            return None
        return {name: values[0] for name, values in given.items()}

    def is_own(self, asked: Asked) -> bool:
        """Return whether a request comes from a page of this console, by what the browser says of it."""
        return asked.headers.get("origin", "").lower() == self.jar(asked).url.lower()

    def show(self, visit: Visit, template: str, values: Mapping[str, object], status: int = 200) -> Reply:
        """Return a page for somebody."""
        known: dict[str, object] = {
            "visit": visit,
            "login": visit.login,
            "csrf": visit.token,
            "root": ROOT,
            "path": visit.asked.path,
        }
        known["stopped"] = self._stopped()
        known["observed"] = self._observed()
        known |= {"told": _told.get(visit.query.get("told", ""), "")}
        return self.renderer.reply(template, {**known, **values}, secure=self.jar(visit.asked).secure, status=status)

    def part(self, visit: Visit, template: str, values: Mapping[str, object]) -> str:
        """Return a part of a page for somebody."""
        return self.renderer.text(template, {"login": visit.login, "csrf": visit.token, "root": ROOT, **values})

    def failed(self, visit: Visit, error: BailiwickError) -> Reply:
        """Return the page of what went wrong."""
        return self.problem(visit, _statuses.get(error.code, 400), error.message, error.remedy)

    def problem(self, visit: Visit, status: int, message: str, remedy: str = "") -> Reply:
        """Return a page that says what is wrong."""
        return self.show(visit, "problem.html", {"status": status, "message": message, "remedy": remedy}, status)

    async def _forbidden(self, visit: Visit, roles: tuple[Role, ...]) -> Reply:
        need = " or ".join(f"`{role}`" for role in (*roles, "administrator"))
        await self._told_refused(visit, f"without the role {need}")
        return self.problem(visit, 403, f"this needs the role {need}", "ask who administers the gateway")

    async def _refused(self, visit: Visit, name: str, reason: str) -> Reply:
        await self._told_refused(visit, f"{name}: {reason}")
        return self.problem(visit, 403, reason, "load the page anew and try again")

    async def _told_refused(self, visit: Visit, reason: str) -> None:
        asked = visit.asked
        detail = {"peer": asked.peer, "asked": f"{asked.method} {asked.path[:200]}"}
        await self.logins.tell("console.refused", visit.login, {**detail}, "forbidden", reason)

    def _to_login(self, asked: Asked) -> Reply:
        here = asked.path + ("?" + "&".join(f"{k}={quote(v)}" for k, v in asked.query.items()) if asked.query else "")
        return moved(f"{ROOT}/login?to={quote(here, safe='')}")


_told: Mapping[str, str] = {
    "revoked": "The session is revoked.",
    "suspended": "It is suspended; what was in flight is cut.",
    "resumed": "It may go on.",
    "ended": "The elevation has ended.",
    "approve": "Your approval is recorded.",
    "deny": "It is denied.",
    "modify": "The changed request waits for approval.",
    "delegate": "It was handed over.",
    "ask": "Your question is with the agent.",
    "promoted": "The policy is in force.",
    "reloaded": "The policy was read anew.",
    "opened": "The review is open.",
    "decided": "It is decided, and on record.",
    "closed": "The review is closed, and on record.",
}
"""What is said after an action; what stands in the query only chooses from it."""


def own_place(given: str) -> str:
    """Return the path of the console that somebody wanted to see, if it is one; else its first page."""
    path = given.partition("?")[0]
    fine = path == ROOT or (path.startswith(ROOT + "/") and not path.startswith(ROOT + "/login"))
    plain = given.isascii() and given.isprintable() and not set(given) & set('\\"<> ') and "//" not in path
    return given if fine and plain and ".." not in path and len(given) < 1000 else ROOT
