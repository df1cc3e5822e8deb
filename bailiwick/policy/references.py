"""What can only be checked once all sections are read: that every name that is used exists, and inheritance."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bailiwick.decide.observing import OBSERVE
from bailiwick.model.action import data_verbs
from bailiwick.model.policy import Grant, Mount, Role, Task
from bailiwick.policy.expect import Name
from bailiwick.policy.problem import Report, near, quoted
from bailiwick.policy.reading import ActionUse, Reading, RefUse


def check_references(
    reading: Reading,
    mounts: Mapping[str, Mount],
    roles: Mapping[str, Role],
    tasks: Mapping[str, Task],
    names: Mapping[str, Collection[str]],
) -> None:
    """Report every use of a name that nothing has. `names` are the keys of each section, read or not."""
    report = reading.report
    resources = {*reading.known, *reading.foreign, *reading.tool_resources}
    _check_names(report, reading.roles, names["roles"], "role")
    _check_names(report, reading.agents, names["agents"], "agent")
    _check_names(report, reading.resources, resources, "resource")
    for use in reading.actions:
        _check_action(reading, use, resources)
    for use in reading.refs:
        _check_ref(report, use, tasks)
    for task in tasks.values():
        _check_tool_use(reading, task)
    _check_sql(reading, mounts)
    _check_cycles(report, roles)
    _check_overrides(reading, roles)
    _check_ids(report, roles)


def _check_names(report: Report, uses: list[Name], known: Collection[str], what: str) -> None:
    for use in uses:
        if use.text not in known:
            report.error(use.position, f"unknown_{what}", f"unknown {what} {quoted(use.text)}", near(use.text, known))


def _check_action(reading: Reading, use: ActionUse, resources: Collection[str]) -> None:
    action, report = use.action, reading.report
    if action.resource != "*" and action.resource not in resources:
        message = f"{use.what} {quoted(str(action))}: unknown resource {quoted(action.resource)}"
        report.error(use.position, "unknown_resource", message, near(action.resource, resources))
    elif action.resource in reading.known and action.verb not in (*data_verbs, "*"):
        message = f"{use.what} {quoted(str(action))}: unknown verb {quoted(action.verb)} for data"
        hint = near(action.verb, data_verbs) or "use `read`, `create`, `update` or `delete`"
        report.error(use.position, "unknown_verb", message, hint)
    elif action.verb not in (*(verbs := reading.tool_verbs.get(action.resource, {})), "*") and verbs:
        message = f"{use.what} {quoted(str(action))}: no tool is mapped to it"
        listed = ", ".join(f"`{action.resource}:{verb}`" for verb in verbs)
        report.error(use.position, "unknown_verb", message, near(action.verb, verbs) or f"there are {listed}")


def _check_ref(report: Report, use: RefUse, tasks: Mapping[str, Task]) -> None:
    """A grant may use what some task brings; a task's own rows only what that task brings."""
    head = use.ref.path[0]
    if head == "user":
        if len(use.ref.path) == 1:
            report.error(use.position, "bad_reference", "`$user` is no single value", "write `$user.id` or a claim")
        return
    if len(use.ref.path) > 1:
        message = f"{quoted(str(use.ref))}: only `$user` has parts"
        report.error(use.position, "bad_reference", message, f"did you mean `${head}`?")
        return
    considered = tasks.values() if use.task is None else [tasks[use.task]] if use.task in tasks else []
    brought = {"tenant", *(name for task in considered for name in task.context)}
    if head not in brought:
        whose = f"the task {quoted(use.task)} does not bring it" if use.task else "no task brings it"
        hint = near(head, brought) or "add it to `context` of a task"
        report.error(use.position, "unknown_reference", f"{quoted(str(use.ref))}: {whose}", hint)


def _check_tool_use(reading: Reading, task: Task) -> None:
    """Report what a task says of a resource that only tools act on, and that only tables have."""
    for name, rule in task.context.items():
        if rule.source in reading.tool_resources:
            message = f"`from: {rule.source}` of context value {quoted(name)}: nothing can be looked up by a tool"
            reading.report.error(task.position, "unknown_resource", message, "name a resource that is a table")
    for name, narrowing in (task.only or {}).items():
        if name in reading.tool_resources and (narrowing.rows or narrowing.fields is not None):
            message = f"{quoted(name)} in `only` of task {quoted(task.name)} is for tools, which have no rows to narrow"
            reading.report.error(task.position, "misplaced_key", message, "use `verbs`, or `{}`")


def _check_sql(reading: Reading, mounts: Mapping[str, Mount]) -> None:
    for use in reading.sql:
        resource = reading.known.get(use.resource)
        concerned = list(mounts.values()) if use.resource == "*" else []
        if resource is not None and resource.mount in mounts:
            concerned = [mounts[resource.mount]]
        for mount in concerned:
            if not mount.sql:
                message = f"`sql` is not switched on for mount {quoted(mount.name)}"
                reading.report.error(
                    use.position, "sql_is_off", message, "add `sql: true` to the mount, or use matchers"
                )


def ancestors(name: str, roles: Mapping[str, Role]) -> dict[str, None]:
    """Return the roles that a role inherits, directly or not, nearest first; itself only if it is in a circle."""
    found: dict[str, None] = {}
    pending = list(roles[name].inherits) if name in roles else []
    while pending:
        at = pending.pop(0)
        if at not in found and at in roles:
            found[at] = None
            pending.extend(roles[at].inherits)
    return found


def _check_cycles(report: Report, roles: Mapping[str, Role]) -> None:
    told: set[str] = set()
    for name, role in roles.items():
        line = ancestors(name, roles)
        if name in line and name not in told:
            circle = [other for other in line if name in ancestors(other, roles)]
            told.update(circle)
            message = f"role {quoted(name)} inherits itself"
            through = ", ".join(quoted(other) for other in circle if other != name)
            report.error(role.position, "inheritance_cycle", message, f"through {through}" if through else "")


def _check_overrides(reading: Reading, roles: Mapping[str, Role]) -> None:
    for role, action, position in reading.overrides:
        parents = [roles[name] for name in ancestors(role, roles) if name != role]
        inherited = {g.action for parent in parents for g in parent.grants if g.effect == "allow"}
        if action not in inherited:
            message = f"`override`: role {quoted(role)} inherits no allow of {quoted(str(action))}"
            hint = near(str(action), {str(other) for other in inherited})
            reading.report.error(position, "nothing_to_override", message, hint or "remove `override`")


def _check_ids(report: Report, roles: Mapping[str, Role]) -> None:
    """Report grants that are the same, or that claim the same `id`: records could not tell them apart."""
    seen: dict[str, Grant] = {}
    for role in roles.values():
        for grant in role.grants:
            if grant.id.startswith(OBSERVE):
                message = f"the grant {quoted(grant.id)} is called as one of observe mode"
                report.error(grant.position, "bad_name", message, f"begin its `id` otherwise than with `{OBSERVE}`")
            first = seen.setdefault(grant.id, grant)
            if first is not grant:
                message = f"the grant {quoted(grant.id)} stands twice; first in line {first.position.line}"
                report.error(grant.position, "duplicate_grant", message, "remove one, or give it another `id`")
