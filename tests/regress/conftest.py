"""Where PostgreSQL's own regression files are not, nothing of this folder runs; pytest's first lines say so."""

from __future__ import annotations

from tests.regress.regress_script import present

collect_ignore = [] if present() else ["test_regress.py"]
