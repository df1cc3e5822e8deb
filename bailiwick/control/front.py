"""The front of the API: one listener for tokens, decisions and administration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from bailiwick.control.api import Api
from bailiwick.control.authzen import AuthZen
from bailiwick.control.callers import Callers
from bailiwick.control.clients import Clients
from bailiwick.control.issuers import Issuers
from bailiwick.control.ledger_answers import LedgerAnswers
from bailiwick.control.looking import Looking
from bailiwick.control.oauth import OAuth, Parts
from bailiwick.control.openapi import description
from bailiwick.control.operations import ROOT
from bailiwick.control.policies import policy_answers
from bailiwick.control.replays import Replays
from bailiwick.control.web import Application, Asked, Handler, Json, Reply, Routes
from bailiwick.gateway.config import GatewayConfig, WebListener, policy_folder
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.run import Running
from bailiwick.mounts.listening import Listening, checks_of


@dataclass(frozen=True, slots=True)
class Ground:
    """What pages for people stand on."""

    running: Running
    issuers: Issuers
    environ: Mapping[str, str]
    url: Callable[[], str]
    """Where people reach them, without a slash at the end; empty when they do not."""
    here: Callable[[], str]
    """Where who sits at the gateway's own machine reaches them."""


class Site(Protocol):
    """Pages for people, on the listener of the API."""

    def routes(self, ground: Ground) -> Routes:
        """Return who answers which path, once there is a desk."""
        ...

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it at the desk."""
        ...

    def install(self) -> None:
        """Another policy is in force."""
        ...

    async def stop(self) -> None:
        """End what never ends by itself."""
        ...


class ControlFront:
    """A `Front` of the gateway that listens once there is a desk, if the configuration says where."""

    name = "api"

    def __init__(self, config: GatewayConfig, site: Site | None = None) -> None:
        self._config = config
        self._site = site
        self._running: Running | None = None
        self._environ: Mapping[str, str] = {}
        self._looking = Looking(lambda: None if self._running is None else (self._running, self._environ))
        self._listening = None if config.api is None else Listening("api", config.api, config)

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that clients connect to; None when it does not listen."""
        return None if self._listening is None else self._listening.address

    @property
    def url(self) -> str:
        """Where clients find it: the issuer, if that is a URL. Empty when it does not listen."""
        if self.address is None or self._config.api is None:
            return ""
        if self._config.issuer.startswith(("https://", "http://")):
            return self._config.issuer.rstrip("/")
        return self.here

    @property
    def here(self) -> str:
        """Where clients on this machine find it, by its address; empty when it does not listen."""
        if self.address is None or self._config.api is None:
            return ""
        host, port = self.address
        scheme = "http" if self._config.api.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it at the desk."""
        own = {**policy_answers(lambda: self._running), **self._looking.answers()}
        return own if self._site is None else {**own, **self._site.answers}

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Nothing yet: see `open`."""
        del gateway, keys, ready

    def check(self, ready: Ready) -> None:
        """Every policy can be taken."""
        del ready

    def install(self, ready: Ready) -> None:
        """Nothing of it is kept here; pages may keep some."""
        del ready
        if self._site is not None:
            self._site.install()

    async def open(self, running: Running, environ: Mapping[str, str]) -> None:
        """Begin to listen. Raises ConfigError when it cannot."""
        self._running, self._environ = running, environ
        if self._listening is None or self._config.api is None:
            return
        sessions = running.sessions
        base = policy_folder(running.path)
        clients = Clients(self._config.clients, environ, base, sessions.state, sessions.clock)
        issuers = Issuers(self._config.issuers, sessions.clock)
        opener, tokens = running.opener, running.tokens
        parts = Parts(lambda: self.url, clients, issuers, tokens, sessions, opener, lambda: self._places(running))
        oauth = OAuth(parts)
        callers = Callers(oauth, issuers, sessions, self._config.console.clearance)
        zen = AuthZen(callers, sessions, lambda: self.url, self._config.authzen)
        ledger = LedgerAnswers(self._config, sessions.clock)
        api = Api(callers, lambda: running.desk, ledger, Replays(running), running.elevation_desk)
        described = {f"{ROOT}/openapi.json": {"GET": _published(lambda: description(self.url))}}
        routes = {**_routes(oauth), **_decisions(zen), **api.routes(), **described}
        checks = checks_of(self._config.api)
        if self._site is not None:
            routes |= self._site.routes(Ground(running, issuers, environ, lambda: self.url, lambda: self.here))
            public = urlsplit(self._config.issuer)  # where somebody else speaks TLS for its pages
            if public.scheme in ("https", "http"):
                checks = replace(checks, origins=checks.origins | {f"{public.scheme}://{public.netloc}".lower()})
        await self._listening.start(Application(checks, routes))

    async def stop(self) -> None:
        """Take no more clients, let what is in flight end."""
        if self._site is not None:
            await self._site.stop()
        if self._listening is not None:
            await self._listening.stop()

    def _places(self, running: Running) -> Mapping[str, Sequence[str]]:
        """Return where agents' clients connect by MCP and HTTP, by every name that it has, and the mounts behind it."""
        policy, addresses = running.sessions.force.policy, running.addresses()
        tools = [f"{root}/mcp" for root in _roots(self._config.mcp, addresses.get("mcp"))]
        found: dict[str, Sequence[str]] = {}
        if tools:
            found |= dict.fromkeys([each for each in (self._config.mcp_url, *tools) if each], _reached(running))
        roots = _roots(self._config.http, addresses.get("http"))
        for root in (*([self._config.http_url] if roots and self._config.http_url else []), *roots):
            found |= {f"{root}/{mount}": (mount,) for mount in policy.http}
        return found


def _roots(listener: WebListener, address: tuple[str, int] | None) -> Sequence[str]:
    """Return the URLs of a listener by all of its names; none when it does not listen."""
    if address is None:
        return ()
    scheme = "http" if listener.tls_cert is None else "https"
    names = dict.fromkeys((address[0], "localhost", *listener.hosts))
    return [f"{scheme}://{f'[{name}]' if ':' in name else name}:{address[1]}" for name in names]


def _reached(running: Running) -> tuple[str, ...]:
    """Return the mounts that are reached by MCP: servers, and databases by `query`."""
    policy = running.sessions.force.policy
    return (*policy.mcp, *policy.mounts)


def _routes(oauth: OAuth) -> Routes:
    return {
        "/.well-known/oauth-authorization-server": {"GET": _published(oauth.metadata)},
        "/oauth/jwks": {"GET": _published(oauth.keys)},
        "/oauth/token": {"POST": oauth.token},
        "/oauth/introspect": {"POST": oauth.introspect},
        "/oauth/revoke": {"POST": oauth.revoke},
    }


def _decisions(zen: AuthZen) -> Routes:
    return {
        "/.well-known/authzen-configuration": {"GET": _published(zen.metadata)},
        "/access/v1/evaluation": {"POST": zen.evaluation},
        "/access/v1/evaluations": {"POST": zen.evaluations},
    }


def _published(make: Callable[[], Mapping[str, Json]]) -> Handler:
    async def answer(asked: Asked) -> Reply:
        del asked
        return Reply(200, make(), (("cache-control", "public, max-age=300"),))

    return answer
