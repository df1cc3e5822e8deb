"""Where PostgreSQL 15 or its own test files are not, nothing of this folder runs; pytest's first lines say so."""

from __future__ import annotations

from tests.support.installed import programs

collect_ignore = [] if programs()["regress"] else ["test_regress.py"]
