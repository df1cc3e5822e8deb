"""A policy against what was accepted of its databases: the tables, columns and types that it names must exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bailiwick.decide.asking import accepted_properties
from bailiwick.decide.calls import is_below
from bailiwick.model.email import EmailMount
from bailiwick.model.files import facts
from bailiwick.model.http import HttpMount
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.matcher import Matcher
from bailiwick.model.policy import ContextRule, Grant, Narrowing, Observe, Policy, Resource, Task
from bailiwick.model.tool import EVERY_ARGUMENT, McpMount, Tool
from bailiwick.model.value import Ref
from bailiwick.policy.locked_tools import locked_route
from bailiwick.policy.problem import Problem, Report, near
from bailiwick.policy.types import mask_fits, misfits, references, value_fits
from bailiwick.policy.where import Path, where


def check_against_lock(policy: Policy, lock: Lock) -> tuple[Problem, ...]:
    """Return every disagreement, in document order. A table that is missing is reported once, at its resource."""
    check = _Check(policy, lock)
    for mount in policy.mounts.values():
        for resource in mount.resources.values():
            check.resource(resource)
    for server in policy.mcp.values():
        for tool in server.offered:
            check.tool(server, tool)
    for api in policy.http.values():
        for route in api.offered:
            check.tool(api, route)
            check.route(api, route)
    for mail in policy.email.values():
        for tool in mail.offered:
            check.tool(mail, tool)
    for functions in policy.python.values():
        for function in functions.tools.values():
            names = frozenset(function.parameters or ())
            check.arguments.setdefault(function.action.resource, []).append((function, names))
    for files in policy.files.values():
        for tool in files.offered:
            check.arguments.setdefault(tool.action.resource, []).append((tool, frozenset(facts)))
    for role in policy.roles.values():
        for index, grant in enumerate(role.grants):
            check.grant(grant, ("roles", role.name, "grants", str(index)))
    for task in policy.tasks.values():
        check.task(task)
    for agent in policy.agents.values():
        check.boundary(agent.observe, ("agents", agent.name, "observe", "boundary"))
    for name, observe in policy.observe.items():
        check.boundary(observe, ("mounts", name, "observe", "boundary"))
    return check.report.sorted()


class _Check:
    """The policy and the lock, and the problems found so far."""

    def __init__(self, policy: Policy, lock: Lock) -> None:
        self.policy = policy
        self.lock = lock
        self.report = Report()
        self.tables: dict[str, LockedTable] = {}
        """Resource → its accepted table."""
        self.arguments: dict[str, list[tuple[Tool, frozenset[str]]]] = {}
        """Resource → the accepted tools that act on it, with the names of their arguments."""
        self.users: dict[str, tuple[Task, ...]] = _tasks_by_role(policy)

    def _error(self, path: Path, code: str, message: str, suggestion: str = "") -> None:
        self.report.error(where(self.policy, path), code, message, suggestion)

    def resource(self, resource: Resource) -> None:
        """Check the table and the columns that a resource's own text names."""
        path = ("mounts", resource.mount, "resources", resource.name)
        table = self.lock.table(resource.mount, resource.schema, resource.table)
        if table is None:
            known = [f"{schema}.{name}" for schema, name in self.lock.mounts.get(resource.mount, {})]
            asked = f"{resource.schema}.{resource.table}"
            hint = near(asked, known) or "create it, or run `bailiwick accept`"
            message = f"table `{asked}` of resource `{resource.name}` does not exist"
            self._error((*path, "table"), "unknown_table", message, hint)
            return
        self.tables[resource.name] = table
        for name in resource.key:
            self._column(table, name, (*path, "key"))
        if resource.tenant is not None:
            self._column(table, resource.tenant, (*path, "tenant"))
        for name in resource.labels:
            if name != "*":
                self._column(table, name, (*path, "labels", name))
        for group, members in resource.groups.items():
            for name in members:
                self._column(table, name, (*path, "groups", group))
            if table.column(group) is not None:
                message = f"`{group}` is a group and a column of `{resource.name}`"
                self._error((*path, "groups", group), "ambiguous_group", message, "rename the group")

    def _column(self, table: LockedTable, name: str, path: Path, also: Collection[str] = ()) -> LockedColumn | None:
        """Return the column; report it when it is neither a column nor one of `also`."""
        column = table.column(name)
        if column is None and name not in also:
            known = {*(column.name for column in table.columns), *also}
            message = f"`{name}` is not a column of `{table.schema}.{table.name}`"
            self._error(path, "unknown_field", message, near(name, known))
        return column

    def tool(self, server: McpMount | HttpMount | EmailMount, tool: Tool) -> None:
        """Check that a tool was accepted, and that it has the arguments that are fixed."""
        path = ("mounts", server.name, *(("graphql",) if tool.kind == "field" else ()), f"{tool.kind}s", tool.name)
        accepted = self.lock.tools.get(server.name, {})
        locked = accepted.get(tool.key)
        if locked is None:
            message = f"{tool.kind} `{tool.name}` of mount `{server.name}` was not accepted"
            self._error(path, "unknown_tool", message, near(tool.key, accepted) or "run `bailiwick accept`")
            return
        properties = accepted_properties(locked.definition)
        if tool.own is not None:
            from bailiwick.decide.own import facts_of  # brings Jinja, which few policies need

            properties = {**properties, **dict.fromkeys(facts_of(locked.definition))}
        self.arguments.setdefault(tool.action.resource, []).append((tool, frozenset(properties)))
        for name in tool.fixed:
            if name not in properties:
                message = f"`{name}` is not an argument of {tool.kind} `{tool.name}`"
                self._error((*path, "fixed", name), "unknown_argument", message, near(name, properties))

    def route(self, api: HttpMount, tool: Tool) -> None:
        """Check that a route is the one that was accepted."""
        if tool.route is None:
            return  # what a field takes stands in what was accepted alone
        locked = self.lock.tools.get(api.name, {}).get(tool.key)
        if locked is not None and locked.fingerprint != locked_route(tool).fingerprint:
            message = f"route `{tool.name}` of mount `{api.name}` takes other arguments than it was accepted with"
            self._error(("mounts", api.name, "routes", tool.name), "unaccepted", message, "run `bailiwick accept`")

    def _arguments(self, grant: Grant, path: Path) -> None:
        tools = self.arguments.get(grant.action.resource, ())
        known = {name for tool, names in tools if grant.action.verb in ("*", tool.action.verb) for name in names}
        for name in grant.args or ():
            if name not in (EVERY_ARGUMENT, *known) and not (is_below(name) and self._has_fields(grant)):
                message = f"`{name}` is not an argument of any tool that is `{grant.action}`"
                self._error((*path, "args", name), "unknown_argument", message, near(name, known))

    def _has_fields(self, grant: Grant) -> bool:
        return any(tool.kind == "field" for tool, _ in self.arguments.get(grant.action.resource, ()))

    def grant(self, grant: Grant, path: Path) -> None:
        """Check one grant against the table of its resource, or what every resource lacks if it is for all."""
        if grant.action.resource == "*":
            self._grant_for_all(grant, path)
            return
        if grant.action.resource in self.arguments:
            self._arguments(grant, path)
        table = self.tables.get(grant.action.resource)
        resource = self.policy.resource(grant.action.resource)
        if table is None or resource is None:
            return
        if grant.action.field is not None:
            self._column(table, grant.action.field, (*path, grant.effect), resource.groups)
        for name in grant.fields or ():
            self._column(table, name, (*path, "fields"), resource.groups)
        for name, mask in grant.mask.items():
            column = self._column(table, name, (*path, "mask", name))
            if column is not None and not mask_fits(mask, column):
                message = f"mask `{mask.name}` does not fit `{name}`, which is {column.type}"
                self._error((*path, "mask", name), "wrong_type", message, "use `full`, `null` or `hash`")
            if mask.name == "sql" and mask.arg:
                self._sql(table, mask.arg, (*path, "mask", name))
        if grant.sql is not None:
            self._sql(table, grant.sql, (*path, "sql"))
        tasks = self.users.get(grant.role, ())
        self._matchers(table, grant.rows, (*path, "rows"), tasks)
        self._matchers(table, grant.set, (*path, "set"), tasks)

    def _sql(self, table: LockedTable, sql: str, path: Path) -> None:
        from bailiwick.policy.sql_columns import columns_named  # the parser costs time that few policies need

        for name in columns_named(sql):
            self._column(table, name, path)

    def _grant_for_all(self, grant: Grant, path: Path) -> None:
        known = {column.name for table in self.tables.values() for column in table.columns}
        known |= {
            group for mount in self.policy.mounts.values() for r in mount.resources.values() for group in r.groups
        }
        named: list[tuple[Path, Iterable[str]]] = [
            ((*path, "rows"), grant.rows),
            ((*path, "fields"), grant.fields or ()),
            ((*path, "mask"), grant.mask),
            ((*path, "set"), grant.set),
        ]
        for at, names in named:
            for name in names:
                if self.tables and name not in known:
                    self._error(
                        (*at, name), "unknown_field", f"`{name}` is no column of any resource", near(name, known)
                    )

    def _matchers(self, table: LockedTable, found: Mapping[str, Matcher], path: Path, tasks: Iterable[Task]) -> None:
        for name, matcher in found.items():
            column = self._column(table, name, (*path, name))
            if column is None:
                continue
            for problem in misfits(matcher, column):
                message = f"this can never match: {problem}, and `{name}` is {column.type}"
                self._error((*path, name), "wrong_type", message)
            for ref in references(matcher):
                self._reference(ref, column, (*path, name), tasks)

    def _reference(self, ref: Ref, column: LockedColumn, path: Path, tasks: Iterable[Task]) -> None:
        for task in tasks:
            rule = task.context.get(ref.path[0]) if len(ref.path) == 1 else None
            if rule is not None and not value_fits(rule.type, column):
                message = f"`{ref}` is {rule.type} in task `{task.name}`, but `{column.name}` is {column.type}"
                self._error(path, "wrong_type", message, "correct the type in `context`")

    def task(self, task: Task) -> None:
        """Check what a task derives, and what it leaves of its resources."""
        for name, rule in task.context.items():
            if rule.source is not None:
                self._derived(task, name, rule, ("tasks", task.name, "context", name))
        self._narrowings(task.only or {}, ("tasks", task.name, "only"), (task,))
        self._tenant(task)

    def boundary(self, observe: Observe | None, path: Path) -> None:
        """Check what observe mode is bounded by."""
        self._narrowings((observe.boundary if observe is not None else None) or {}, path, ())

    def _narrowings(self, found: Mapping[str, Narrowing], above: Path, tasks: Iterable[Task]) -> None:
        for name, narrowing in found.items():
            path = (*above, name)
            table, resource = self.tables.get(name), self.policy.resource(name)
            if table is None or resource is None:
                continue
            self._matchers(table, narrowing.rows, (*path, "rows"), tasks)
            for field in narrowing.fields or ():
                self._column(table, field, (*path, "fields"), resource.groups)

    def _derived(self, task: Task, name: str, rule: ContextRule, path: Path) -> None:
        table = self.tables.get(rule.source or "")
        if table is None:
            return
        value = self._column(table, rule.column or name, path)
        if value is not None and not value_fits(rule.type, value):
            message = f"`{name}` is {rule.type}, but `{value.name}` of `{rule.source}` is {value.type}"
            self._error((*path, "type"), "wrong_type", message)
        by = self._column(table, rule.by or "", (*path, "by"))
        brought = task.context.get(rule.by or "")
        if by is not None and brought is not None and not value_fits(brought.type, by):
            message = f"`{rule.by}` is {brought.type}, but `{by.name}` of `{rule.source}` is {by.type}"
            self._error((*path, "by"), "wrong_type", message)

    def _tenant(self, task: Task) -> None:
        rule = task.context.get("tenant")
        for name, table in self.tables.items() if rule else ():
            resource = self.policy.resource(name)
            column = table.column(resource.tenant) if resource and resource.tenant else None
            if rule and column is not None and not value_fits(rule.type, column):
                message = f"`tenant` is {rule.type}, but `{column.name}` of `{name}` is {column.type}"
                self._error(("tasks", task.name, "context", "tenant"), "wrong_type", message)


def _tasks_by_role(policy: Policy) -> dict[str, tuple[Task, ...]]:
    """Return role → the tasks in which some agent has it, by itself or by inheritance."""
    found: dict[str, dict[str, Task]] = {name: {} for name in policy.roles}
    for task in policy.tasks.values():
        for agent in task.agents:
            pending = list(policy.agents[agent].roles) if agent in policy.agents else []
            pending += [rule.role for rule in policy.elevations.values() if agent in rule.agents]
            seen: set[str] = set()
            while pending:
                name = pending.pop()
                if name in seen or name not in policy.roles:
                    continue
                seen.add(name)
                found[name][task.name] = task
                pending.extend(policy.roles[name].inherits)
    return {name: tuple(tasks.values()) for name, tasks in found.items()}
