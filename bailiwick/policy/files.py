"""Mounts of kind `files`: YAML → `model.files.FilesMount`. Like functions, they are accepted by being written there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from bailiwick.match.file_paths import pattern_problem
from bailiwick.model.files import (
    FilesMount,
    Keeping,
    Quota,
    Redaction,
    facts,
    file_tool,
    file_verbs,
    own_facts,
    redactions,
)
from bailiwick.model.mask import Mask
from bailiwick.model.policy import SecretRef
from bailiwick.model.tool import LockedTool, Tool, ToolResource
from bailiwick.policy.document import Block, Entry, Leaf, Node
from bailiwick.policy.expect import block, choice, count, flag, name_is_good, required, several, text, wrong
from bailiwick.policy.labels import labels
from bailiwick.policy.locked_tools import locked_tool
from bailiwick.policy.problem import Report, quoted
from bailiwick.policy.reading import Reading
from bailiwick.policy.values import call_limits, duration, mount_limits, secret_text

files_keys = (
    *("kind", "root", "url", "credential", "resources", "labels", "quota", "versions"),
    *("hard_links", "cross_mounts", "limits"),
)
resource_keys = ("paths",)
quota_keys = ("bytes", "files")
keeping_keys = ("keep", "for")
credential_keys = ("key", "secret", "token", "endpoint", "region")
"""What the gateway shows an object store."""
_SIZES: Mapping[str, int] = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([1-9][0-9]{0,14}) ?([kMGT]B)?")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^?#\s]+|\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:.+")
_REDACTIONS: Mapping[str, Redaction] = {each: each for each in redactions}
DEFINITION: Mapping[str, object] = {
    "inputSchema": {
        "type": "object",
        "properties": {
            **{name: {"type": "integer" if name == "size" else "string"} for name in facts},
            **{name: {"type": "string"} for name in own_facts},
        },
    }
}
"""What a file is known by."""


def files_mount(reading: Reading, entry: Entry, found: Block) -> FilesMount | None:
    """Return one mount of kind `files`, or None when it is not usable."""
    report, what = reading.report, f"mount {quoted(entry.key)}"
    block(report, found, what, files_keys)
    place = _place(report, found, what)
    root = found.get("root")
    paths = _resources(reading, found, entry)
    resources = {name: reading.tool_resources[name] for name in paths}
    offered = [file_tool(name, verb, each.position) for name, each in resources.items() for verb in file_verbs]
    tools = {tool.name: tool for tool in offered}
    marks = _labels(report, found.get("labels"), what)
    return place and FilesMount(
        name=entry.key,
        url=place,
        is_local=root is not None,
        paths=paths,
        resources=resources,
        tools=tools,
        accepted={tool.key: _accepted(tool) for tool in tools.values()},
        labels=marks,
        credential=_credential(report, found.get("credential"), what, local=root is not None),
        quota=_quota(report, found.get("quota"), what),
        keeping=_keeping(report, found.get("versions"), what),
        hard_links=_flag(report, found, "hard_links", what, local=root is not None),
        cross_mounts=_flag(report, found, "cross_mounts", what, local=root is not None),
        limits=mount_limits(report, found, what, call_limits),
        position=entry.position,
    )


def _place(report: Report, found: Block, what: str) -> SecretRef | None:
    root, url = found.get("root"), found.get("url")
    if (root is None) == (url is None):
        message = f"{what} has {'both `root` and' if root else 'neither `root` nor'} `url`"
        report.error(found.position, "missing_key", message, "say where its files are: by one of the two")
        return None
    if root is not None:
        folder = text(report, root.value, f"`root` of {what}")
        return None if folder is None else SecretRef(folder)
    given = text(report, url.value, f"`url` of {what}") if url else None
    if given is None or url is None:
        return None
    if not _URL.fullmatch(given):
        message = f"`url` of {what} is {quoted(given)}"
        report.error(url.value.position, "bad_url", message, "write e.g. `s3://bucket/prefix`, or `root:` for a folder")
        return None
    if re.search(r"://[^/]*@", given):
        message = f"`url` of {what} holds a credential"
        report.error(url.value.position, "secret_in_policy", message, "name it in `credential`, by reference")
        return None
    return SecretRef(given)


def _resources(reading: Reading, found: Block, mount: Entry) -> dict[str, tuple[str, ...]]:
    """Return resource → patterns, and note the resources."""
    report = reading.report
    entry = required(report, found, "resources", f"mount {quoted(mount.key)}")
    inner = block(report, entry.value, f"`resources` of mount {quoted(mount.key)}") if entry else None
    read: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    for item in inner.entries.values() if inner else ():
        what = f"resource {quoted(item.key)}"
        other = reading.known.get(item.key) or reading.tool_resources.get(item.key)
        if other is not None:
            message = f"{what} stands twice; first in mount {quoted(other.mount)}, line {other.position.line}"
            report.error(item.position, "duplicate_resource", message, "names are unique over all mounts")
            continue
        each = block(report, item.value, what, resource_keys)
        given = required(report, each, "paths", what) if each else None
        patterns = several(report, given.value, f"`paths` of {what}", _pattern, least=1) if given else ()
        for pattern in patterns:
            first = owners.setdefault(pattern, item.key)
            if first != item.key and given is not None:
                message = f"the pattern {quoted(pattern)} of {what} is already one of {quoted(first)}"
                report.error(given.position, "duplicate_pattern", message, "a file is of one resource")
        if name_is_good(report, item.key, item.position, "resource"):
            read[item.key] = patterns
            reading.tool_resources[item.key] = ToolResource(item.key, mount.key, {}, item.position)
            reading.file_resources.add(item.key)
            reading.tool_verbs[item.key] = dict.fromkeys(file_verbs)
    return read


def _accepted(tool: Tool) -> LockedTool:
    return locked_tool(tool.key, DEFINITION)


def _pattern(report: Report, node: Node, what: str) -> str | None:
    found = text(report, node, what)
    if found is None:
        return None
    problem = pattern_problem(found)
    if problem:
        hint = "write it as in `kb/**`, from the root of the mount" if found.startswith(("/", ".")) else ""
        report.error(node.position, "bad_pattern", f"{what}: {quoted(found)} is no pattern of paths: {problem}", hint)
        return None
    return found


def _labels(report: Report, entry: Entry | None, what: str) -> tuple[tuple[str, frozenset[str]], ...]:
    found = labels(report, entry, what)
    for pattern in found:
        problem = pattern_problem(pattern)
        if problem and entry is not None:
            message = f"`labels` of {what}: {quoted(pattern)} is no pattern of paths: {problem}"
            report.error(entry.position, "bad_pattern", message, "write it as in `hr/**`")
    return tuple(found.items())


def _credential(report: Report, entry: Entry | None, what: str, *, local: bool) -> dict[str, SecretRef]:
    found = block(report, entry.value, f"`credential` of {what}", credential_keys) if entry else None
    if entry is not None and local:
        report.error(entry.position, "misplaced_key", f"`credential` of {what}: a folder has none", "remove it")
    read: dict[str, SecretRef] = {}
    for item in found.entries.values() if found else ():
        needed = item.key in ("secret", "token")
        value = secret_text(report, item.value, f"`{item.key}` of `credential` of {what}", needed=needed)
        if value is not None:
            read[item.key] = value
    return read


def _quota(report: Report, entry: Entry | None, what: str) -> Quota:
    found = block(report, entry.value, f"`quota` of {what}", quota_keys) if entry else None
    if found is None:
        return Quota()
    size, number = found.get("bytes"), found.get("files")
    return Quota(
        _size(report, size.value, f"`bytes` of `quota` of {what}") if size else None,
        count(report, number.value, f"`files` of `quota` of {what}") if number else None,
    )


def _size(report: Report, node: Node, what: str) -> int | None:
    match = _SIZE.fullmatch(node.text) if isinstance(node, Leaf) else None
    if match is None:
        wrong(report, node, what, "a size such as `500 MB`, `2 GB`, or a number of bytes")
        return None
    return int(match[1]) * _SIZES[match[2] or ""]


def _keeping(report: Report, entry: Entry | None, what: str) -> Keeping:
    found = block(report, entry.value, f"`versions` of {what}", keeping_keys) if entry else None
    if found is None:
        return Keeping()
    most, span = found.get("keep"), found.get("for")
    kept = count(report, most.value, f"`keep` of `versions` of {what}") if most else None
    lasts: timedelta | None = duration(report, span.value, f"`for` of `versions` of {what}") if span else None
    return Keeping(kept or Keeping().versions, lasts or Keeping().span)


def _flag(report: Report, found: Block, key: str, what: str, *, local: bool) -> bool:
    entry = found.get(key)
    if entry is not None and not local:
        report.error(entry.position, "misplaced_key", f"`{key}` of {what}: only folders have such files", "remove it")
    return bool(flag(report, entry.value, f"`{key}` of {what}")) if entry else False


def file_masks(report: Report, node: Node) -> dict[str, Mask]:
    """Return what a grant on files masks in their text."""
    kinds = several(report, node, "`mask`", _redaction, least=1)
    return {kind: Mask("full") for kind in kinds}


def _redaction(report: Report, node: Node, what: str) -> Redaction | None:
    return choice(report, node, what, _REDACTIONS)
