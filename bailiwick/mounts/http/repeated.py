"""Requests that a session makes again: what was worked out of the first one is not worked out anew.

A decision hangs on the policy, the session and the arguments, and on nothing else but the clock, where a matcher looks
at it. So the same request without a body is decided the same as long as the same terms hold. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bailiwick.decide.calls import Admitted
from bailiwick.gateway.call import Call
from bailiwick.gateway.sessions.live import Live, Terms
from bailiwick.model.matcher import Every, Matcher, Not, Within
from bailiwick.model.route import Route
from bailiwick.model.scope import ToolScope
from bailiwick.mounts.http.apis import Mounted
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.envelope import Head

_most = 128
_longest = 1024


@dataclass(frozen=True, slots=True)
class Repeated:
    """A request that was admitted, as it is sent and recorded."""

    mounted: Mounted
    route: Route
    admitted: Admitted
    asked: Outgoing
    call: Call
    counted: bool
    """Whether the items of its answer are charged for."""


_Key = tuple[str, str, str, str, str, str]


class Repetitions:
    """Those of one session."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._terms: Terms | None = None
        self._known: dict[_Key, Repeated] = {}

    def find(self, head: Head, mounted: Mounted | None) -> Repeated | None:
        """Return what is known of a request, if its mount and the session's terms are what they were."""
        if self._terms is not self._live.terms:
            self._known.clear()
            return None
        found = self._known.get(_key(head))
        if found is None or found.mounted is not mounted or head.mount in self._live.closed_mounts:
            return None
        return found

    def keep(self, head: Head, made: Repeated) -> None:
        """Remember a request, if it may be."""
        if head.content or made.route.headers or len(head.path) + len(head.query) > _longest:
            return
        if not is_timeless(_matchers(made.admitted.tool)):
            return
        if self._terms is not self._live.terms or len(self._known) >= _most:
            self._known.clear()
            self._terms = self._live.terms
        self._known[_key(head)] = made


def _key(head: Head) -> _Key:
    return (head.method, head.mount, head.path, head.query, head.accept, head.purpose)


def _matchers(tool: ToolScope) -> Iterator[Matcher]:
    """Yield all that a decision on a call of a tool compares its arguments with."""
    for grant in (*tool.allows, *tool.denies):
        yield from grant.args.values()
    for bound in tool.bounds.values():
        yield from bound.values()


def is_timeless(matchers: Iterable[Matcher]) -> bool:
    """Return whether none of them looks at the clock."""
    return not any(map(_looks_at_the_clock, matchers))


def _looks_at_the_clock(matcher: Matcher) -> bool:
    match matcher:
        case Within():
            return True
        case Not(inner):
            return _looks_at_the_clock(inner)
        case Every(parts):
            return any(map(_looks_at_the_clock, parts))
        case _:
            return False
