"""Pages as text: the templates, what they may use, and the headers that every page carries.

INVARIANT: autoescape is on for every template, and no text is marked as safe but what templates themselves wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from bailiwick.console.words import ago, amount, duration, moment, plural, whole
from bailiwick.control.web import Reply

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing inline, nothing evaluated, nothing from elsewhere, in nobody's frame."""
_headers = (
    ("content-security-policy", POLICY),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_for_tls = ("strict-transport-security", "max-age=31536000")


def headers(*, secure: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers of a page."""
    return (*_headers, _for_tls) if secure else _headers


class Renderer:
    """The templates. What a template is given is escaped wherever it stands."""

    def __init__(self, version: str, environment: str) -> None:
        self._environment = made = Environment(
            loader=PackageLoader("bailiwick.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        filters = cast("dict[str, object]", made.filters)  # its type says no more than what is in it by default
        filters.update({each.__name__: each for each in (moment, whole, ago, amount, duration, plural)})
        self._known: Mapping[str, object] = {"version": version, "environment": environment}

    def text(self, template: str, values: Mapping[str, object]) -> str:
        """Return a template with values, which reads no clock but this."""
        return self._environment.get_template(template).render({"now": datetime.now(UTC), **self._known, **values})

    def reply(
        self,
        template: str,
        values: Mapping[str, object],
        *,
        secure: bool,
        status: int = 200,
        more: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """Return a page."""
        content = self.text(template, values).encode("utf-8", "replace")
        return Reply(status, headers=(*headers(secure=secure), *more), kind="text/html; charset=utf-8", content=content)


def moved(place: str, *cookies: str) -> Reply:
    """Return what leads elsewhere, by GET. `place` is a path of the console's own or an issuer's URL, never given."""
    set_cookies = tuple(("set-cookie", each) for each in cookies)
    return Reply(303, headers=(("location", place), ("referrer-policy", "same-origin"), *set_cookies))
