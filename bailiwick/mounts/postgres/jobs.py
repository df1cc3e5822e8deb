"""What the gateway and its analysts (`analyst.py`) say to each other: frames, jobs and answers.

A frame is its length in four bytes, then a pickle. The gateway's own are read as they are; what comes from an analyst
is read as values of the few kinds that answers are made of, and nothing else.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.model.decision import Access, Denial
from bailiwick.model.observation import Link
from bailiwick.model.scope import Scope
from bailiwick.model.value import Ref
from bailiwick.sql import groupings, plan, usage
from bailiwick.sql.literals import Form
from bailiwick.sql.plan import Bound, Plan
from bailiwick.sql.preview import DryRun, RowsQuery
from bailiwick.sql.shapes import Shared

LARGEST = 64 * 1024 * 1024
"""Bytes of one answer."""
READY = "ready"
"""What an analyst says first."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a rewriter is made of, but for the catalogue, which others share."""

    scope: Scope
    mount: str
    functions: tuple[str, ...]
    limit: int
    native: Mapping[str, str] | None
    longest: int
    """Milliseconds that a statement may take."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A catalogue or a setup, packed once and sent to each analyst at most once as long as it keeps it."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Analyse:
    """Make the plans of a text. `declared`: oids of the types of its first parameters; 0 for those left open."""

    text: str
    declared: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MakeDryRun:
    """Make the dry run of a plan."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class MakeRows:
    """Make the query for the rows of so many keys, which a plan's dry run returned."""

    plan: Plan
    count: int


Asked = Analyse | MakeDryRun | MakeRows


@dataclass(frozen=True, slots=True)
class Job:
    """One thing asked of the rewriter that a catalogue and a setup make, by their numbers."""

    parcels: tuple[Parcel, ...]
    """What the analyst has not been sent yet."""
    forget: tuple[int, ...]
    catalogue: int
    setup: int
    asked: Asked


@dataclass(frozen=True, slots=True)
class Analysed:
    """The plans of a text."""

    plans: tuple[Plan | Denial, ...]
    shared: Shared | None
    """What the text shares with those that differ from it in their literals only; `plans` is then left out."""


Answer = Analysed | DryRun | RowsQuery | None

_SIZE = struct.Struct(">I")
_KINDS: Mapping[tuple[str, str], type] = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (
        Access,
        Analysed,
        Bound,
        Denial,
        DryRun,
        Form,
        Plan,
        Ref,
        RowsQuery,
        frozenset,
        groupings.Field,
        groupings.Given,
        groupings.Grouping,
        plan.Constant,
        plan.Declare,
        plan.Drop,
        plan.Fetch,
        plan.Prepare,
        plan.Run,
        usage.Parameter,
        usage.UsedCondition,
        usage.UsedSet,
        usage.Shown,
        usage.Statement,
        usage.UsedTable,
        usage.Written,
        Link,
    )
}


class _Values(pickle.Unpickler):
    """Reads nothing but the values that answers are made of."""

    def find_class(self, module: str, name: str) -> type:
        """Return one of these kinds. Raises UnpicklingError for anything else."""
        found = _KINDS.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return found


def framed(value: object) -> bytes:
    """Return a value as a frame."""
    data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _SIZE.pack(len(data)) + data


def size_of(head: bytes) -> int:
    """Return the length of a frame's pickle from its first four bytes."""
    size: int = _SIZE.unpack(head)[0]
    return size


def read_answer(data: bytes) -> object:
    """Return what an analyst sent. Raises UnpicklingError for what is no value of an answer."""
    try:
        found: object = _Values(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(type(error).__name__) from None
    return found
