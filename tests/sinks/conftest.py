"""Receivers of records: what is not on this machine is not tried (pytest's first lines say so)."""

from __future__ import annotations

from tests.support.installed import programs

collect_ignore = [] if programs()["rsyslog"] else ["test_sink_rsyslog.py"]
