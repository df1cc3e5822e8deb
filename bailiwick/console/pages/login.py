"""Login and logout: at an issuer, or by a one-time link."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from bailiwick.console.access import ROOT, Doors, Visit, own_place
from bailiwick.console.cookies import cookies
from bailiwick.console.links import Links, is_here
from bailiwick.console.oidc import Oidc, patience
from bailiwick.console.rendering import moved
from bailiwick.control.issuers import Person
from bailiwick.control.web import Asked, Reply, Routes
from bailiwick.gateway.sessions.tokens import Rejected
from bailiwick.model.approval import Means

_log = logging.getLogger("bailiwick.console")


class LoginPages:
    """Comes before every other page."""

    def __init__(self, doors: Doors, oidc: Oidc, links: Links | None) -> None:
        self._doors = doors
        self._oidc = oidc
        self._links = links

    def routes(self) -> Routes:
        """Return who answers which path."""
        return {
            f"{ROOT}/login": {"GET": self._choose},
            f"{ROOT}/login/oidc/*": {"GET": self._begin},
            f"{ROOT}/login/oidc/*/callback": {"GET": self._finish},
            f"{ROOT}/login/link": {"GET": self._confirm, "POST": self._use},
            f"{ROOT}/logout": {"POST": self._doors.act("logout", self._leave, *_everybody)},
        }

    async def _choose(self, asked: Asked) -> Reply:
        to = own_place(asked.query.get("to", ""))
        if await self._doors.visit(asked) is not None:
            return moved(to)
        values = {"names": self._oidc.names, "to": quote(to, safe=""), "links": self._links}
        return self._page(asked, "login.html", values)

    async def _begin(self, asked: Asked) -> Reply:
        issuer = self._oidc.issuer(asked.part)
        if issuer is None:
            return self._failed(asked, 404, "nobody logs in there")
        here = self._doors.url()
        if asked.headers.get("host", "").lower() != urlsplit(here).netloc.lower():
            return moved(f"{here}{asked.path}?to={quote(own_place(asked.query.get('to', '')), safe='')}")
        again = asked.query.get("again") == "yes"
        begun = await self._oidc.begin(
            issuer, self._redirect(issuer.name), own_place(asked.query.get("to", "")), again=again
        )
        if isinstance(begun, Rejected):
            _log.error("nobody can log in at issuer `%s`: %s", issuer.name, begun.reason)
            return self._failed(asked, 502, "the issuer cannot be reached", "try again in a moment")
        jar = self._doors.jar(asked)
        return moved(begun.url, jar.set(jar.begun, begun.cookie, int(patience.total_seconds())))

    async def _finish(self, asked: Asked) -> Reply:
        issuer, jar = self._oidc.issuer(asked.part), self._doors.jar(asked)
        if issuer is None:
            return self._failed(asked, 404, "nobody logs in there")
        cookie = cookies(asked.headers).get(jar.begun, "")
        found = await self._oidc.finish(issuer, self._redirect(issuer.name), asked.query, cookie)
        if isinstance(found, Rejected):
            return await self._refused(asked, f"issuer {issuer.name}", found.reason)
        person, to = found
        if not person.roles:
            reason = f"{person.user.id} has no role here"
            return await self._refused(
                asked, f"issuer {issuer.name}", reason, "a role is given to a group in gateway.yaml"
            )
        return await self._enter(asked, person, "oidc", to, jar.set(jar.begun, "", 0))

    async def _confirm(self, asked: Asked) -> Reply:
        """Ask before a link is used up: what only fetches links to show what is behind them uses up none."""
        if self._links is None or not is_here(asked):
            return self._failed(asked, 403, "links count on the gateway's own machine only", "log in at an issuer")
        return self._page(asked, "link.html", {"secret": asked.query.get("token", "")[:100]})

    async def _use(self, asked: Asked) -> Reply:
        if self._links is None or not is_here(asked):
            return await self._refused(asked, "link", "links count on the gateway's own machine only")
        given = self._doors.form_of_own(asked)
        if given is None:
            return await self._refused(asked, "link", "the request is not one of a page of this console")
        found = self._links.use(given.get("token", ""))
        if isinstance(found, Rejected):
            return await self._refused(asked, "link", found.reason, "`bailiwick console link` makes another one")
        return await self._enter(asked, found, "link", ROOT)

    async def _enter(self, asked: Asked, person: Person, means: Means, to: str, *clear: str) -> Reply:
        doors, jar = self._doors, self._doors.jar(asked)
        former = await doors.visit(asked)
        entered = await doors.logins.enter(person, means, asked.peer, None if former is None else former.login)
        return moved(to, jar.set(jar.login, entered.secret), *clear)

    async def _leave(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        del given
        await self._doors.logins.leave(visit.login, "logged out")
        jar = self._doors.jar(visit.asked)
        return moved(f"{ROOT}/login", jar.set(jar.login, "", 0))

    async def _refused(self, asked: Asked, at: str, reason: str, remedy: str = "") -> Reply:
        detail = {"peer": asked.peer, "at": at}
        await self._doors.logins.tell("login.refused", None, {**detail}, "unauthorized", reason)
        return self._failed(asked, 403, reason, remedy or "begin again")

    def _failed(self, asked: Asked, status: int, message: str, remedy: str = "") -> Reply:
        return self._page(asked, "refused.html", {"status": status, "message": message, "remedy": remedy}, status)

    def _page(self, asked: Asked, template: str, values: Mapping[str, object], status: int = 200) -> Reply:
        doors = self._doors
        return doors.renderer.reply(template, {"root": ROOT, **values}, secure=doors.jar(asked).secure, status=status)

    def _redirect(self, name: str) -> str:
        """Return the one address that an issuer sends people back to: each has its own, so that none can be mistaken
        for another."""
        return f"{self._doors.url()}{ROOT}/login/oidc/{name}/callback"


_everybody = ("viewer", "approver", "auditor", "opener")
