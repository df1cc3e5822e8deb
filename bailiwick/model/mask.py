"""Masks: how a field is shown instead of in clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

mask_names: tuple[str, ...] = ("full", "partial", "last4", "hash", "null", "year", "round")
MaskName = Literal["full", "partial", "last4", "hash", "null", "year", "round", "sql"]


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask of one field.

    `full`: a constant (`***`, or NULL for types other than text). `partial`: e-mail `x***@example.com`, card and
    phone shapes keep their last four digits, other text its first character. `last4`: all but the last four
    characters replaced. `hash`: keyed HMAC-SHA-256 in hex, stable per policy so that joins and counts work.
    `null`: NULL. `year`: the first of January of the date's year. `round`: to `arg` (a step, e.g. 100).
    `sql`: `arg` is an expression in the database's dialect over the row's columns.
    """

    name: MaskName
    arg: str | None = None
