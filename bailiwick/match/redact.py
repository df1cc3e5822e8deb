"""Masks in running text: numbers of payment cards, addresses of e-mail, keys and tokens of well-known forms. Pure.

Text is taken apart into runs, between characters that are part of nothing that is looked for. A run is looked at by
itself, so that it does not matter in which pieces a text comes. A run that is too long is masked as a whole. Cards are
looked for in what is left (`cards`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bailiwick.match.cards import Cards
from bailiwick.model.files import Redaction

EMAIL, KEY, LONG = "[email]", "[key]", "[too long to be looked at]"
longest_run = 64 * 1024
_ATOM = r"\w.!#$%&'*+/=?^`{|}~\-\uff0e"
"""What a name before the `@` of an address is made of."""
_NOTHING = r"\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
_AT = r"@\uff20\ufe6b"
_BOUNDARY = re.compile(rf"[^{_ATOM}{_NOTHING}{_AT} :\"\t\u00a0\u3002\uff61]")
_DOMAIN = rf"[\w\-{_NOTHING}]+(?:[.\uff0e\u3002\uff61][\w\-{_NOTHING}]+)+"
_EMAIL = re.compile(rf"(?<![{_ATOM}{_NOTHING}])[{_ATOM}{_NOTHING}]+[{_AT}]{_DOMAIN}")
_QUOTED_EMAIL = re.compile(rf'"[^"]{{1,64}}"[{_AT}]{_DOMAIN}')
_WITH_AT = re.compile(f"[{_AT}]")
_JWT = re.compile(r"(?<![\w\-.])[\w\-]+(?:\.[\w\-]*){2,}")
_KEYS = re.compile(
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA|AIPA|ANPA|ANVA)[A-Z0-9]{16,}"
    r"|(?i:aws)_?(?i:secret)_?(?i:access)?_?(?i:key)[\"']? ?[=:] ?[\"']?[A-Za-z0-9/+=]{40,}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_\-]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9\-]{10,}|xapp-[A-Za-z0-9\-]{10,}"
    r"|AIza[A-Za-z0-9_\-]{35,}|ya29\.[A-Za-z0-9_\-]{20,}"
    r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_\-]{20,}"
    r"|npm_[A-Za-z0-9]{36,}|pypi-[A-Za-z0-9_\-]{16,}|hf_[A-Za-z0-9]{30,}|SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}"
)
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_longest_mark = 256
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----")


class Redactor:
    """Takes a text in pieces; gives back what may be shown of it so far, and with `end` the rest."""

    def __init__(self, kinds: Iterable[Redaction]) -> None:
        self._kinds = frozenset(kinds)
        self._pending = ""
        self._skipping = False
        """Whether the run that is being read was too long, and is masked already."""
        self._dropped = ""
        """The end of what was left out of such a run."""
        self._in_key = False
        """Whether a private key has begun, and not ended."""
        self._masked = 0
        self._cards = Cards() if "cards" in self._kinds else None

    @property
    def found(self) -> int:
        """How much was masked."""
        return self._masked + (0 if self._cards is None else self._cards.found)

    def feed(self, text: str) -> str:
        """Return what of the text so far may be shown."""
        if not self._kinds - {"cards"}:
            return text if self._cards is None else self._cards.feed(text)
        shown = self._in_runs(text)
        return shown if self._cards is None else self._cards.feed(shown)

    def _in_runs(self, text: str) -> str:
        whole = self._pending + text
        cut = 0
        for boundary in _BOUNDARY.finditer(whole, max(0, len(self._pending) - 1)):
            cut = boundary.end()
        shown = self._runs(whole[:cut]) if cut else ""
        self._pending = whole[cut:]
        if len(self._pending) > longest_run:
            shown += self._too_long(self._pending)
            self._pending = ""
        return shown

    def end(self) -> str:
        """Return the rest."""
        pending, self._pending = self._pending, ""
        shown = self._run(pending) if pending else ""
        return shown if self._cards is None else self._cards.feed(shown) + self._cards.end()

    def _runs(self, text: str) -> str:
        """Return runs and the boundaries between them as they are shown; the last character is a boundary."""
        shown: list[str] = []
        at = 0
        for boundary in _BOUNDARY.finditer(text):
            run = text[at : boundary.start()]
            if run or self._skipping:
                shown.append(self._run(run))
            if not self._in_key:
                shown.append(boundary[0])
            self._skipping = False
            at = boundary.end()
        return "".join(shown)

    def _run(self, run: str) -> str:
        if self._skipping or len(run) > longest_run:
            shown = self._too_long(run)
            self._skipping, self._dropped = False, ""
            return shown
        shown = ""
        if "keys" in self._kinds:
            run, shown = self._private_keys(run)
        return shown + self._plain(run) if run else shown

    def _too_long(self, text: str) -> str:
        """Return what is shown in place of a part of a run that is too long."""
        first = not self._skipping and not self._in_key
        self._skipping = True
        if "keys" in self._kinds:
            self._leave_out(text)
        self._masked += first
        return LONG if first else ""

    def _leave_out(self, text: str) -> None:
        """Note whether what is not shown ends within a private key, of which nothing may be shown then."""
        whole = self._dropped + text
        begun = max((found.end() for found in _PEM.finditer(whole)), default=0)
        ended = max((found.end() for found in _PEM_END.finditer(whole)), default=0)
        if begun != ended:
            self._in_key = begun > ended
        self._dropped = whole[-_longest_mark:]

    def _private_keys(self, run: str) -> tuple[str, str]:
        """Return what of a run is no private key, and what is shown of what stands before it."""
        shown = ""
        while run:
            if self._in_key:
                ended = _PEM_END.search(run)
                if ended is None:
                    return "", shown
                self._in_key, run = False, run[ended.end() :]
            begun = _PEM.search(run)
            if begun is None:
                return run, shown
            shown += self._plain(run[: begun.start()]) + KEY
            self._masked += 1
            self._in_key, run = True, run[begun.end() :]
        return "", shown

    def _plain(self, run: str) -> str:
        if "keys" in self._kinds:
            run = self._counted(*_KEYS.subn(KEY, run))
            if "eyJ" in run:
                run = _JWT.sub(self._token, run)
        if "email" in self._kinds and _WITH_AT.search(run):
            run = self._counted(*_QUOTED_EMAIL.subn(EMAIL, run))
            run = self._counted(*_EMAIL.subn(EMAIL, run))
        return run

    def _counted(self, text: str, found: int) -> str:
        self._masked += found
        return text

    def _token(self, match: re.Match[str]) -> str:
        text = match[0]
        place = text.partition(".")[0].find("eyJ")
        if place < 0 or len(text) - place < 20:
            return text
        self._masked += 1
        return text[:place] + KEY


def redacted(text: str, kinds: Iterable[Redaction]) -> tuple[str, int]:
    """Return a whole text as it is shown, and how much was masked."""
    redactor = Redactor(kinds)
    shown = redactor.feed(text) + redactor.end()
    return shown, redactor.found
