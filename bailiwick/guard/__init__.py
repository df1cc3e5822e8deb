"""The SDK: the gateway's path in front of an application's own functions, and a client for its sessions."""

from bailiwick.guard.calls import Call
from bailiwick.guard.client import Allowed, Client, FunctionInfo, OpenedSession, Person, SessionInfo
from bailiwick.guard.data import NotDataError
from bailiwick.guard.denied import ApprovalPendingError, Denied, DeniedError, FunctionError
from bailiwick.guard.guard import Guard
from bailiwick.guard.session import Session

__all__ = [
    "Allowed",
    "ApprovalPendingError",
    "Call",
    "Client",
    "Denied",
    "DeniedError",
    "FunctionError",
    "FunctionInfo",
    "Guard",
    "NotDataError",
    "OpenedSession",
    "Person",
    "Session",
    "SessionInfo",
]
