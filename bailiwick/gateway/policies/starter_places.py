"""What `bailiwick init` writes for folders, buckets and mail servers: a policy that grants nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bailiwick.gateway.policies.starter import scalar
from bailiwick.match.file_paths import pattern_problem

_HEAD = """\
# A starter policy for `{mount}`, written by `bailiwick init`. It grants nothing yet: what no grant allows is denied.

bailiwick: 1

mounts:
  {mount}:
"""
_FILES_TAIL = """\
    # labels: {{"{folder}private/**": restricted}}     # public < internal < confidential < restricted
    versions: {{keep: 20, for: 90d}}                    # what was overwritten or deleted is kept

# roles:
#   reader:
#     grants:
#       - {{allow: {resource}:list, reason: finds what it answers from}}
#       - {{allow: {resource}:read, reason: answers from it, mask: [cards, email, keys]}}
#
# agents:
#   support-bot:
#     owner: support-platform           # the person or team that answers for it
#     purpose: answers questions
#     roles: [reader]
"""
_MAIL = """\
    kind: email
    smtp: ${{{variable}}}                   # smtp://user:password@host:587, or smtps://…:465
    from: {sender}
    internal: [{domain}]                  # who is outside is held for people
    # templates: templates/

# roles:
#   sender:
#     grants:
#       - allow: email:send
#         reason: writes to colleagues
#         args: {{to: {{glob: "*@{domain}"}}, subject: any, body: any, external: 0}}
#         limits: {{actions: 50/day, batch: 5}}
#
# agents:
#   support-bot:
#     owner: support-platform           # the person or team that answers for it
#     purpose: tells colleagues
#     roles: [sender]
"""
_most = 40


def folder_policy(mount: str, root: str, folders: Iterable[str]) -> str:
    """Return the text of a policy for a folder: each folder in it is a resource, what lies beside them is none."""
    return _files(mount, [f"root: {scalar(root)}"], folders)


def bucket_policy(mount: str, url: str) -> str:
    """Return the text of a policy for a bucket, whose credential is taken from variables."""
    name = re.sub(r"[^A-Z0-9]+", "_", mount.upper())
    credential = (
        f'credential: {{key: "${{{name}_KEY}}", secret: "${{{name}_SECRET}}"}}   # endpoint, region: where needed'
    )
    return _files(mount, [f"url: {scalar(url)}", credential], ())


def mail_policy(mount: str, variable: str, sender: str) -> str:
    """Return the text of a policy for a mail server, whose URL stands in a variable."""
    return _HEAD.format(mount=mount) + _MAIL.format(variable=variable, sender=sender, domain=sender.rpartition("@")[2])


def _files(mount: str, place: list[str], folders: Iterable[str]) -> str:
    patterns = {_resource(each): f"{each}/**" for each in folders if not pattern_problem(f"{each}/**")}
    patterns = {name: patterns[name] for name in sorted(patterns)[:_most] if not set("*?") & set(patterns[name][:-3])}
    patterns = patterns or {f"{mount}_files": "**"}
    lines = ["kind: files", *place, "resources:"]
    lines += [f"  {scalar(name)}: {{paths: [{_quoted(pattern)}]}}" for name, pattern in patterns.items()]
    first, pattern = next(iter(patterns.items()))
    text = _HEAD.format(mount=mount) + "".join(f"    {line}\n" for line in lines)
    return text + _FILES_TAIL.format(resource=first, folder=pattern.removesuffix("**").replace('"', ""))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _resource(folder: str) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "_", folder)[:60]
    return cleaned if re.match(r"[A-Za-z_]", cleaned) else f"f_{cleaned}"
