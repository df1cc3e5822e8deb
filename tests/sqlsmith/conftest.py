"""Where there is no sqlsmith, nothing of this folder runs; pytest's first lines say so."""

from __future__ import annotations

from tests.support.installed import programs

collect_ignore = [] if programs()["sqlsmith"] else ["test_sqlsmith.py"]
