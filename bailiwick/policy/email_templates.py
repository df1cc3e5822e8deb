"""Files of templates → `model.email.Template`: `NAME.yaml`, texts in it or beside it (`NAME.txt`, `.html`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bailiwick.model.email import Template, Variable, VariableType, variable_types
from bailiwick.policy.document import Block, Entry, read_document
from bailiwick.policy.expect import block, choice, count, flag, required, text
from bailiwick.policy.problem import Report, quoted

template_keys = ("subject", "text", "html", "description", "variables")
variable_keys = ("type", "max", "items", "optional", "description")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_TYPES: Mapping[str, VariableType] = {each: each for each in variable_types}
_LENGTHS: Mapping[str, int] = {"string": 200, "text": 4000, "url": 2048, "strings": 200}
_most = 16 * 1024


def read_templates(report: Report, files: Mapping[str, str]) -> list[Template]:
    """Return the templates of a folder: name of the file → text. What is wrong is reported."""
    from bailiwick.decide.templates import template_fault  # brings Jinja, which few policies need

    found: list[Template] = []
    for file in sorted(files):
        name, dot, kind = file.rpartition(".")
        if not dot or kind != "yaml":
            continue
        template = _template(report, name, file, files)
        wrong = template_fault(template) if template is not None else ""
        if template is not None and wrong:
            root = read_document(file, files[file], Report())
            if root is not None:
                report.error(root.position, "bad_template", f"template {quoted(name)}: {wrong}")
        elif template is not None:
            found.append(template)
    return found


def _template(report: Report, name: str, file: str, files: Mapping[str, str]) -> Template | None:
    root = read_document(file, files[file], report)
    what = f"template {quoted(name)}"
    found = block(report, root, what, template_keys) if root is not None else None
    if found is None:
        return None
    if not _NAME.fullmatch(name):
        report.error(found.position, "bad_name", f"{what} has no good name", "letters, digits, `_` and `-`")
        return None
    subject = required(report, found, "subject", what)
    texts = {key: _part(report, found, key, what, files.get(f"{name}.{end}", "")) for key, end in _BESIDE.items()}
    said = found.get("description")
    variables = found.get("variables")
    named = block(report, variables.value, f"`variables` of {what}") if variables else None
    read = {each.key: _variable(report, each) for each in named.entries.values()} if named else {}
    return Template(
        name,
        (text(report, subject.value, f"`subject` of {what}") or "") if subject else "",
        texts["text"],
        texts["html"],
        {key: each for key, each in read.items() if each is not None},
        (text(report, said.value, f"`description` of {what}") or "") if said else "",
    )


_BESIDE = {"text": "txt", "html": "html"}


def _part(report: Report, found: Block, key: str, what: str, beside: str) -> str:
    entry = found.get(key)
    return (text(report, entry.value, f"`{key}` of {what}") or "") if entry else beside


def _variable(report: Report, entry: Entry) -> Variable | None:
    what = f"variable {quoted(entry.key)}"
    if not _VARIABLE.fullmatch(entry.key) or entry.key == "loop":
        report.error(entry.position, "bad_name", f"{what} has no good name", "letters, digits and `_`")
        return None
    if not isinstance(entry.value, Block):
        kind = choice(report, entry.value, what, _TYPES)
        return None if kind is None else Variable(kind, _LENGTHS.get(kind, 200))
    found = block(report, entry.value, what, variable_keys)
    named = required(report, found, "type", what) if found else None
    kind = choice(report, named.value, f"`type` of {what}", _TYPES) if named else None
    if found is None or kind is None:
        return None
    longest, items, optional = found.get("max"), found.get("items"), found.get("optional")
    said = found.get("description")
    return Variable(
        kind,
        min((count(report, longest.value, f"`max` of {what}") if longest else None) or _LENGTHS.get(kind, 200), _most),
        min((count(report, items.value, f"`items` of {what}") if items else None) or 20, 200),
        (flag(report, optional.value, f"`optional` of {what}") or False) if optional else False,
        (text(report, said.value, f"`description` of {what}") or "") if said else "",
    )
