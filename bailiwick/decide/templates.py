"""Templates of messages: Jinja in its sandbox, and of Jinja only what cannot run for long. Pure.

INVARIANT: what a template may contain bounds its work: output, conditions, and loops over declared lists, not nested.
No attribute, call, assignment, macro or import; values are of declared types and lengths; an unknown name fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import cast

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bailiwick.match.addresses import Fault, read_address
from bailiwick.match.links import UNREADABLE, is_active, links_in
from bailiwick.match.scripts import invisible
from bailiwick.model.email import Template, Variable, VariableType, variable_types

longest_source = 64 * 1024
longest_message = 256 * 1024
most_variables = 64
most_characters = 16 * 1024
_JOINERS = "\u200c\u200d"
_FILTERS = ("capitalize", "e", "escape", "first", "join", "last", "length", "lower", "title", "trim", "upper")
_LOOP = ("index", "index0", "first", "last", "length")
_ALLOWED: tuple[type[nodes.Node], ...] = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.For, nodes.Filter),
    *(nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Getattr, nodes.Test),
)
_TESTS = ("defined", "none")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?#][A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*)?")


class TemplateFaultError(ValueError):
    """Why a template, or a value for it, is not taken; without the value."""


class _Nothing:
    """An optional variable that was not given: false, and an error where it would be written."""

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        raise TemplateFaultError("the template writes an optional variable that was not given")

    __html__ = __str__


def _environment(*, markup: bool) -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=markup, keep_trailing_newline=True)
    made.globals.clear()
    made.filters = {name: made.filters[name] for name in _FILTERS}
    made.tests = {name: made.tests[name] for name in _TESTS}
    return made


_PLAIN, _MARKUP = _environment(markup=False), _environment(markup=True)


def templates_in(definition: str) -> Mapping[str, Template]:
    """Return the templates that were accepted with a tool, by name. Definitions that differ are read anew."""
    return _read(definition)


@lru_cache(maxsize=256)
def _read(definition: str) -> Mapping[str, Template]:
    found = cast("Mapping[str, Mapping[str, object]]", json.loads(definition).get("templates") or {})
    return {name: _template(name, each) for name, each in found.items()}


def _template(name: str, found: Mapping[str, object]) -> Template:
    variables = cast("Mapping[str, Mapping[str, object]]", found.get("variables") or {})
    read = {key: _variable(each) for key, each in variables.items()}
    texts = {key: str(found.get(key) or "") for key in ("subject", "text", "html", "description")}
    return Template(name, texts["subject"], texts["text"], texts["html"], read, texts["description"])


def _variable(found: Mapping[str, object]) -> Variable:
    known: Mapping[str, VariableType] = {each: each for each in variable_types}
    kind = known[str(found["type"])]
    numbers = {key: int(str(found[key])) for key in ("max", "items") if key in found}
    return Variable(
        kind,
        numbers.get("max", 200),
        numbers.get("items", 20),
        bool(found.get("optional")),
        str(found.get("description") or ""),
    )


def definition_of(template: Template) -> dict[str, object]:
    """Return a template as the lock keeps it."""
    texts = {"subject": template.subject, "text": template.text, "html": template.html}
    told: dict[str, object] = {key: text for key, text in texts.items() if text}
    if template.description:
        told["description"] = template.description
    return {**told, "variables": {name: _told(each) for name, each in template.variables.items()}}


def _told(variable: Variable) -> dict[str, object]:
    found: dict[str, object] = {"type": variable.type}
    if variable.type in ("string", "text", "strings"):
        found["max"] = variable.max
    if variable.type == "strings":
        found["items"] = variable.items
    if variable.optional:
        found["optional"] = True
    return {**found, "description": variable.description} if variable.description else found


def template_fault(template: Template) -> str:
    """Return why a template cannot be used, empty when it can: for whoever accepts it, so it says what stands there."""
    if len(template.variables) > most_variables:
        return f"it has more than {most_variables} variables"
    if not template.subject or not (template.text or template.html):
        return "it has no `subject`, or neither `text` nor `html`"
    for part, source in (("subject", template.subject), ("text", template.text), ("html", template.html)):
        try:
            _check(source, template.variables, markup=part == "html")
        except (TemplateError, TemplateFaultError, RecursionError) as error:
            return f"`{part}`: {_one_line(error)}"
    if is_active(template.html):
        return "`html` has a link that would do something: `javascript:`, `data:`, `file:` and the like"
    return "" if "\n" not in template.subject.strip() else "its `subject` has several lines"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or "it is nested too deeply"


def _check(source: str, variables: Mapping[str, Variable], *, markup: bool) -> None:
    if len(source) > longest_source:
        raise TemplateFaultError(f"it is longer than {longest_source} characters")
    _walk((_MARKUP if markup else _PLAIN).parse(source), variables, frozenset(), looping=False)


def _walk(node: nodes.Node, variables: Mapping[str, Variable], local: frozenset[str], *, looping: bool) -> None:
    if not isinstance(node, _ALLOWED):
        raise TemplateFaultError(f"`{type(node).__name__.lower()}` is not available in templates of messages")
    if isinstance(node, nodes.Name) and node.name not in {*variables, *local}:
        raise TemplateFaultError(f"`{node.name}` is not one of its variables")
    known_name = (isinstance(node, nodes.Filter) and node.name in _FILTERS) or (
        isinstance(node, nodes.Test) and node.name in _TESTS
    )
    if isinstance(node, nodes.Filter | nodes.Test) and not known_name:
        raise TemplateFaultError(f"`{node.name}` is not available in templates of messages")
    if isinstance(node, nodes.Filter) and (node.args or node.kwargs) and node.name != "join":
        raise TemplateFaultError(f"filter `{node.name}` takes no arguments here")
    if isinstance(node, nodes.Getattr):
        _check_loop(node, looping=looping)
        return
    if isinstance(node, nodes.For):
        if (
            looping
            or node.recursive
            or not isinstance(node.iter, nodes.Name)
            or not isinstance(node.target, nodes.Name)
        ):
            raise TemplateFaultError("a loop is over one variable, and not within another one")
        known = variables.get(node.iter.name)
        if known is None or known.type != "strings" or node.target.name in {*variables, "loop"}:
            raise TemplateFaultError(f"`{node.iter.name}` is no list (`strings`), or a variable is named like another")
        inner = local | {node.target.name}
        for each in (*node.body, *([node.test] if node.test is not None else [])):
            _walk(each, variables, inner, looping=True)
        for each in node.else_:
            _walk(each, variables, local, looping=False)
        return
    for each in node.iter_child_nodes():
        _walk(each, variables, local, looping=looping)


def _check_loop(node: nodes.Getattr, *, looping: bool) -> None:
    is_loop = looping and isinstance(node.node, nodes.Name) and node.node.name == "loop" and node.attr in _LOOP
    if not is_loop:
        raise TemplateFaultError(f"`.{node.attr}` is not available in templates of messages")


def typed(template: Template, given: Mapping[str, object]) -> dict[str, object]:
    """Return the values of all variables of a template. Raises TemplateFaultError for one that is not of its type."""
    for name in given:
        if name not in template.variables:
            raise TemplateFaultError("a variable was given that the template does not have")
    return {name: _value(name, each, given.get(name)) for name, each in template.variables.items()}


def _value(name: str, variable: Variable, value: object) -> object:
    if value is None:
        if variable.optional:
            return None
        raise TemplateFaultError(f"variable `{name}` is missing")
    wrong = _TYPES[variable.type](value, variable)
    if wrong:
        raise TemplateFaultError(f"variable `{name}` {wrong}")
    return value


def _text(value: object, variable: Variable, *, lines: bool = False) -> str:
    if not isinstance(value, str):
        return "is not a text"
    if len(value) > variable.max:
        return f"has more than {variable.max} characters"
    return "has characters that cannot be seen" if invisible(value, _JOINERS + ("\n\t" if lines else "")) else ""


def _number(value: object, _: Variable) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str) or len(str(value)) > 40:
        return "is not a number"
    try:
        return "" if Decimal(str(value)).is_finite() else "is not a number"
    except InvalidOperation:
        return "is not a number"


def _date(value: object, _: Variable) -> str:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return "is not a date, as in `2026-01-31`"
    try:
        date.fromisoformat(value)
    except ValueError:
        return "is not a date"
    return ""


def _url(value: object, variable: Variable) -> str:
    fits = isinstance(value, str) and len(value) <= max(variable.max, 2048) and _URL.fullmatch(value) is not None
    return "" if fits else "is not an `https://` address"


def _strings(value: object, variable: Variable) -> str:
    if not isinstance(value, list):
        return "is not a list of texts"
    each_of = cast("list[object]", value)
    if len(each_of) > variable.items:
        return f"has more than {variable.items} texts"
    return next((wrong for each in each_of if (wrong := _text(each, variable))), "")


_TYPES: Mapping[VariableType, Callable[[object, Variable], str]] = {
    "string": _text,
    "text": lambda value, variable: _text(value, variable, lines=True),
    "integer": lambda value, _: "" if type(value) is int and abs(value) < 10**20 else "is not a whole number",
    "number": _number,
    "boolean": lambda value, _: "" if isinstance(value, bool) else "is not true or false",
    "date": _date,
    "email": lambda value, _: "is not an address" if isinstance(read_address(value), Fault) else "",
    "url": _url,
    "strings": _strings,
}


def rendered(template: Template, values: Mapping[str, object]) -> dict[str, str]:
    """Return `subject`, `text` and `html` with values that are `typed`. Raises TemplateFaultError."""
    shown = {name: _Nothing() if value is None else value for name, value in values.items()}
    said = {
        "subject": _written(template.subject.strip(), shown, markup=False),
        "text": _written(template.text, shown, markup=False),
        "html": _written(template.html, shown, markup=True),
    }
    if invisible(said["subject"], _JOINERS):
        raise TemplateFaultError("the subject has several lines, or characters that cannot be seen")
    return said


def _written(source: str, values: Mapping[str, object], *, markup: bool) -> str:
    found: list[str] = []
    size = 0
    try:
        for part in _compiled(source, markup).generate(values):
            size += len(part)
            if size > longest_message:
                raise TemplateFaultError(f"the message is longer than {longest_message} characters")
            found.append(part)
    except (TemplateError, TypeError, ValueError) as error:
        if isinstance(error, TemplateFaultError):
            raise
        raise TemplateFaultError("the template cannot be filled in with these values") from None
    return "".join(found)


@lru_cache(maxsize=512)
def _compiled(source: str, markup: bool):  # Jinja's own type, kept by its text
    return (_MARKUP if markup else _PLAIN).from_string(source)


def own_links(template: Template) -> frozenset[str]:
    """Return the hosts that stand in the template itself, and so were accepted with it."""
    found = _links(template.subject, markup=False) | _links(template.text, markup=False)
    return (found | _links(template.html, markup=True)) - {UNREADABLE}


@lru_cache(maxsize=512)
def _links(source: str, *, markup: bool) -> frozenset[str]:
    """Return the links of what stands in a source beside its variables: a host that ends in one is none of its own."""
    if not source:
        return frozenset()
    parts: Iterable[nodes.TemplateData] = (_MARKUP if markup else _PLAIN).parse(source).find_all(nodes.TemplateData)
    whole = "".join(f"{_MARK}{part.data}{_MARK}" for part in parts)
    return frozenset(host for host in links_in(whole, markup=markup) if _MARK not in host)


_MARK = "\ufffc"
"""Stands for a variable: no character of a host."""
