"""The gateway's log: one line for each thing, `key=value`, to standard error. No secrets, no tracebacks.

What was decided and done is the ledger's matter; this is for whoever runs the machine.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class OneLine(logging.Formatter):
    """Formats a record as one line. Of an exception only its kind and place: its text may hold values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = f"at={at} level={record.levelname.lower()} of={record.name} say={json.dumps(record.getMessage())}"
        if record.exc_info is None or record.exc_info[0] is None:
            return line
        kind, _, trace = record.exc_info
        place = ""
        while trace is not None:
            place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
            trace = trace.tb_next
        return f"{line} error={kind.__name__} place={place}"


def set_up_logs() -> None:
    """Send the log of this process to standard error."""
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(OneLine())
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)
