"""States of what waits for people: opened for the session and request that they were made for, and for no other."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.mounts.mcp.sealed import PREFIX, Seal, Waiting, seal_of

SEAL = Seal(b"k" * 32)
WAITING = Waiting("apr_01M83BDV1N6TXMGJY856JV5KMW", 2)
STATE = SEAL.close(WAITING, "ses_1", "d" * 64)


def test_a_state_is_opened_by_its_session_for_its_request() -> None:
    assert SEAL.open(STATE, "ses_1", "d" * 64) == WAITING


@pytest.mark.parametrize(
    ("seal", "session", "digest"),
    [
        (SEAL, "ses_2", "d" * 64),
        (SEAL, "ses_1", "e" * 64),
        (SEAL, "ses_1d", "d" * 63),
        (Seal(b"j" * 32), "ses_1", "d" * 64),
        (Seal(), "ses_1", "d" * 64),
    ],
)
def test_no_other_opens_it(seal: Seal, session: str, digest: str) -> None:
    assert seal.open(STATE, session, digest) is None


@given(st.integers(0, len(base64.urlsafe_b64decode(STATE.removeprefix(PREFIX))) - 1), st.integers(1, 255))
def test_a_changed_byte_makes_it_worthless(place: int, change: int) -> None:
    data = bytearray(base64.urlsafe_b64decode(STATE.removeprefix(PREFIX)))
    data[place] ^= change
    assert SEAL.open(PREFIX + base64.urlsafe_b64encode(bytes(data)).decode(), "ses_1", "d" * 64) is None


@given(st.text(max_size=500))
def test_whatever_is_brought_is_refused(text: str) -> None:
    assert SEAL.open(PREFIX + text, "ses_1", "d" * 64) is None


def test_a_gateway_that_restarts_opens_its_own() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    state = seal_of(key).close(WAITING, "ses_1", "d")
    assert seal_of(key).open(state, "ses_1", "d") == WAITING
    assert seal_of(other).open(state, "ses_1", "d") is None
