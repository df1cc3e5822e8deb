"""URIs of documents and templates of them: `notes://{id}`, `files:///{+path}`. Pure.

Of a URI only one spelling is ever accepted: what another parser could read as another document is none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote

longest_uri = 2048
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!#-;=?-Z\[\]_a-z~|%]*")
_VARIABLE = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]{0,63})\}")
_segment = r"((?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+)"
_path = r"((?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+)"


def is_template(text: str) -> bool:
    """Return whether it has variables."""
    return "{" in text or "}" in text


def variables(template: str) -> tuple[str, ...]:
    """Return the names of a template's variables; of a URI none."""
    return tuple(match[2] for match in _VARIABLE.finditer(template))


def uri_problem(text: str) -> str:
    """Return what is wrong with a URI or template; empty: nothing is."""
    if len(text) > longest_uri:
        return f"it is longer than {longest_uri}"
    plain = _VARIABLE.sub("x", text)
    if is_template(plain):
        return "only `{name}`, and `{+name}` at its end, are understood"
    if not _URI.fullmatch(plain):
        return "it is no URI: a scheme in small letters, `:`, and no spaces"
    names, parts = variables(text), _VARIABLE.split(text)
    if len(set(names)) != len(names):
        return "a variable stands twice"
    if _VARIABLE.match(text) or not parts[0].partition(":")[1]:
        return "its scheme is not written out"
    kinds, literals = parts[1::3], parts[3::3]
    if any(kinds[:-1]) or (kinds and kinds[-1] and literals[-1]):
        return "`{+name}` stands at its end"
    if any(not after or re.match(r"[A-Za-z0-9._~%-]", after) for after in literals[:-1]):
        return "between two variables stands a character that no value has, such as `/`"
    return ""


def values_in(template: str, uri: str) -> dict[str, str] | None:
    """Return the values that a URI gives a template's variables; None when it is none of the template's."""
    match = _compiled(template).fullmatch(uri) if len(uri) <= longest_uri else None
    if match is None:
        return None
    found: dict[str, str] = {}
    for (whole, name), raw in zip(_VARIABLE.findall(template), match.groups(), strict=True):
        value = _value(raw, whole=bool(whole))
        if value is None:
            return None
        found[name] = value
    return found


def _value(raw: str, *, whole: bool) -> str | None:
    """Return what stands for a variable; None for what is not its only spelling, or leads elsewhere."""
    try:
        value = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        return None
    if quote(value, safe="-._~/" if whole else "-._~") != raw or not value.isprintable():
        return None
    parts = value.split("/")
    if "\\" in value or any(part in ("", ".", "..") for part in parts) or (len(parts) > 1 and not whole):
        return None
    return value


@lru_cache(maxsize=1024)
def _compiled(template: str) -> re.Pattern[str]:
    parts = _VARIABLE.split(template)
    shape = re.escape(parts[0])
    for kind, after in zip(parts[1::3], parts[3::3], strict=True):
        shape += (_path if kind else _segment) + re.escape(after)
    return re.compile(shape)
