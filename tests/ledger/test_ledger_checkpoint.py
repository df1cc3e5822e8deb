"""Signed notes: the examples of the format's authors, and every way in which a note can be off."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.ledger.checkpoint import (
    Checkpoint,
    Proof,
    Signer,
    VerifierKey,
    is_key_name,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_proof,
    parse_verifier_key,
)

# From the documentation of golang.org/x/mod/sumdb/note, the origin of the format.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
ROOT = bytes(range(32))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("example.com/log", KEY)


def key_of(text: str) -> VerifierKey:
    key = parse_verifier_key(text)
    assert key is not None
    return key


@pytest.mark.parametrize("vkey", [PETER, ENOCH])
@pytest.mark.parametrize("lines", [PETER_LINE + ENOCH_LINE, ENOCH_LINE + PETER_LINE])
def test_published_note_opens_with_each_of_its_keys(vkey: str, lines: str) -> None:
    assert open_note(f"{TEXT}\n{lines}", key_of(vkey)) == TEXT


def test_note_without_this_keys_signature_stays_shut() -> None:
    assert open_note(f"{TEXT}\n{ENOCH_LINE}", key_of(PETER)) is None


@pytest.mark.parametrize("vkey", [PETER, ENOCH, str(SIGNER.verifier)])
def test_verifier_key_reads_back_as_written(vkey: str) -> None:
    assert str(key_of(vkey)) == vkey


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER[:-1],
        PETER.replace("+ARpc", "+BRpc"),
    ],
)
def test_false_verifier_key_is_refused(vkey: str) -> None:
    assert parse_verifier_key(vkey) is None


def test_signed_checkpoint_opens_with_the_public_key_alone() -> None:
    checkpoint = Checkpoint("example.com/log", 7, ROOT, ("an extension",))
    note = SIGNER.sign(checkpoint.text())
    assert note.startswith(
        "example.com/log\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nan extension\n\n— example.com/log "
    )
    assert open_checkpoint(note, key_of(str(SIGNER.verifier))) == checkpoint


def test_checkpoint_about_another_log_is_refused() -> None:
    note = SIGNER.sign(Checkpoint("example.com/other", 7, ROOT).text())
    assert open_note(note, SIGNER.verifier) is not None
    assert open_checkpoint(note, SIGNER.verifier) is None


def test_checkpoint_by_another_key_of_the_same_name_is_refused() -> None:
    forger = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
    assert open_checkpoint(forger.sign(Checkpoint(SIGNER.name, 7, ROOT).text()), SIGNER.verifier) is None


@given(st.data())
def test_one_changed_character_shuts_a_note(data: st.DataObject) -> None:
    note = SIGNER.sign(Checkpoint(SIGNER.name, 1234, ROOT).text())
    at = data.draw(st.integers(0, len(note) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != note[at]))
    assert open_checkpoint(note[:at] + other + note[at + 1 :], SIGNER.verifier) is None


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert open_checkpoint(text, SIGNER.verifier) is None
    assert parse_verifier_key(text) is None
    parse_checkpoint(text)
    parse_proof(text)


@pytest.mark.parametrize(
    "text",
    [
        "log\n07\n{root}\n",
        "log\n-1\n{root}\n",
        "log\n٣\n{root}\n",
        "log\n7\nAAAA\n",
        "log\n7\n",
        "\n7\n{root}\n",
        "log\n7\n{root}",
    ],
)
def test_checkpoint_has_one_form(text: str) -> None:
    root = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    assert parse_checkpoint(f"log\n7\n{root}\n") == Checkpoint("log", 7, ROOT)
    assert parse_checkpoint(text.format(root=root)) is None


def test_proof_reads_back_as_written_and_drops_extra_data() -> None:
    proof = Proof(5, (ROOT, ROOT[::-1]), SIGNER.sign(Checkpoint(SIGNER.name, 9, ROOT).text()))
    text = proof.text()
    assert parse_proof(text) == proof
    assert parse_proof(text.replace("\nindex", "\nextra QUJD\nindex")) == proof
    assert parse_proof(text.replace("v1\n", "v2\n")) is None
    assert parse_proof(text.replace("AAEC", "AAE")) is None


@pytest.mark.parametrize(
    ("name", "fit"), [("a/b.c", True), ("", False), ("a b", False), ("a+b", False), ("a\nb", False)]
)
def test_key_names(name: str, fit: bool) -> None:
    assert is_key_name(name) is fit
