"""The kinds of mistakes that `policy lint` knows. Their ids are stable: they stand in reviews and in suppressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LintSeverity = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """A kind of mistake."""

    id: str
    severity: LintSeverity
    title: str
    explanation: str
    remedy: str


WILDCARD = Mistake(
    "BW101",
    "high",
    "a grant for everything",
    "A grant whose resource or verb is `*` also covers whatever is added later, without anybody deciding it.",
    "name the resource and the verb; write one grant for each",
)
GOD_MODE = Mistake(
    "BW102",
    "high",
    "an agent that may do anything",
    "An allow of `*:*` is what least privilege is there to avoid: one injected instruction reaches everything.",
    "give the agent the actions that its tasks need",
)
UNLIMITED_WRITE = Mistake(
    "BW103",
    "medium",
    "a write without limits",
    "An agent in a loop repeats a write as fast as the database takes it, and one statement can touch every row.",
    "narrow `rows` to one record (its key), or add `limits: {batch: 1}`",
)
UNEXPLAINED_LOOSENING = Mistake(
    "BW104",
    "high",
    "a loosened gate without a real reason",
    "The built-in gates hold what cannot be undone. Whoever reviews this must be able to see why one is open.",
    "write in `reason` why nobody needs to look at these requests",
)
UNION_OF_TASKS = Mistake(
    "BW105",
    "medium",
    "an agent that is a union of tasks",
    "An agent that does several unrelated tasks has in each of them what it needs in any of them.",
    "give each task `only:` what it needs, or make an agent for each",
)
NO_TASK = Mistake(
    "BW106",
    "medium",
    "an agent that works without a task",
    "Without a task nothing narrows the agent's grants to one piece of work, one person and one record.",
    "define a task for it with `context` and `only`",
)
UNLABELLED_SECRET = Mistake(
    "BW107",
    "high",
    "an unlabelled column that looks like a secret",
    "A column without a label is `internal`, so grants without `fields` show it, and no gate holds it.",
    "label it `restricted` (or, if the name misleads, `internal`)",
)
UNLABELLED_PERSONAL = Mistake(
    "BW108",
    "medium",
    "an unlabelled column that looks like personal data",
    "A column without a label is `internal`, so grants without `fields` show it in clear.",
    "label it `[confidential, pii]` (or, if the name misleads, `internal`)",
)
RESTRICTED_IN_CLEAR = Mistake(
    "BW109",
    "high",
    "a restricted field in clear",
    "The grant names a restricted field without a mask. Reading it is held for approval, or not even that.",
    "mask it (`last4`, `hash`, `full`), or take it out of `fields`",
)
NO_TENANT = Mistake(
    "BW110",
    "high",
    "a resource without a tenant where others have one",
    "Rows of every tenant are reachable through this resource, whatever tenant the session is for.",
    "add `tenant:`, or make sure that the table is common to all tenants",
)
WRITABLE_FILTER = Mistake(
    "BW111",
    "high",
    "a filter on a column that the agent may write",
    "Who may write the column that decides which rows are visible can move rows into or out of sight.",
    "filter by a column that it cannot write, or fix with `set` what may be written",
)
UNREADABLE_WRITE = Mistake(
    "BW112",
    "low",
    "a write without a read",
    "An update or delete reaches only rows that the agent may also read, so this grant never does anything.",
    "add a read grant for the rows and the columns that it filters by",
)
UNUSED_ROLE = Mistake(
    "BW113",
    "low",
    "a role that nobody has",
    "A role without an agent, heir or elevation is never reviewed and is easily given by accident.",
    "remove it, or give it to the agent that it was made for",
)
OPEN_PATH = Mistake(
    "BW114",
    "medium",
    "a matcher of a path or URL that fits more than it seems to",
    "Matchers compare text: what begins alike need not lie in the same folder or at the same host.",
    "end a `prefix` with `/`, name hosts in full, and say what is allowed rather than what is not",
)
NOBODYS_FILES = Mistake(
    "BW115",
    "medium",
    "files that two resources claim, so that they are of none",
    "A file is of the resource whose pattern names most of its folders; where two name equally many, it is of none.",
    "name one folder more in one of the two patterns",
)
TAKEN_FILES = Mistake(
    "BW116",
    "high",
    "a deny that a nearer pattern takes files from",
    "Files of the nearer pattern are of its resource alone: what is denied of the other one can be allowed there.",
    "deny it of the nearer resource, too, or make one resource of both",
)
UNLABELLED_FILES = Mistake(
    "BW117",
    "medium",
    "a label that leaves out folders below it, or labels nothing",
    "A file that no pattern of `labels` matches is `internal`, so grants reach it, and no gate holds it.",
    "end the pattern in `/**`, and spell it as the resource's patterns are",
)
mistakes: tuple[Mistake, ...] = (
    WILDCARD,
    GOD_MODE,
    UNLIMITED_WRITE,
    UNEXPLAINED_LOOSENING,
    UNION_OF_TASKS,
    NO_TASK,
    UNLABELLED_SECRET,
    UNLABELLED_PERSONAL,
    RESTRICTED_IN_CLEAR,
    NO_TENANT,
    WRITABLE_FILTER,
    UNREADABLE_WRITE,
    UNUSED_ROLE,
    OPEN_PATH,
    NOBODYS_FILES,
    TAKEN_FILES,
    UNLABELLED_FILES,
)
