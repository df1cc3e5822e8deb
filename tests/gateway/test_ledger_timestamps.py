"""Time-stamps by a real authority (openssl): they count when it is trusted, over the checkpoint that was stamped."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bailiwick.cli.ledger import app
from bailiwick.gateway.ledger.timestamps import NAME
from tests.gateway.ledger_rig import VERIFIER, fill, intruding, new_store, record

CONFIG = """
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[tsa]
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
[tsa_config]
serial = FOLDER/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=120)


def make_authority(folder: Path) -> None:
    """Make the keys and certificates of an authority."""
    folder.mkdir()
    (folder / "conf").write_text(CONFIG.replace("FOLDER", str(folder)))
    (folder / "serial").write_text("01\n")
    for name in ("ca", "tsa"):
        openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        openssl(
            folder, "req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name} {folder.name}", "-out", f"{name}.csr"
        )
    sign = ("x509", "-req", "-days", "30", "-extfile", "conf")
    openssl(folder, *sign, "-in", "ca.csr", "-signkey", "ca.key", "-extensions", "ca", "-out", "ca.pem")
    own = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extensions", "tsa", "-out", "tsa.pem")
    openssl(folder, *sign, "-in", "tsa.csr", *own)


class Authority(HTTPServer):
    """A time-stamp authority."""

    folder: Path
    lies: bytes = b""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/tsr"


class Answering(BaseHTTPRequestHandler):
    """Its answers."""

    def do_POST(self) -> None:  # the library calls it so
        authority = self.server
        assert isinstance(authority, Authority)
        query = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/timestamp-query"
        (authority.folder / "query").write_bytes(query)
        given = ("-queryfile", "query", "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "answer")
        openssl(authority.folder, "ts", "-reply", "-config", "conf", "-section", "tsa_config", *given)
        answer = authority.lies or (authority.folder / "answer").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library calls it so
        """Say nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    folder = tmp_path_factory.mktemp("tsa")
    for name in ("one", "other"):
        make_authority(folder / name)
    with Authority(("127.0.0.1", 0), Answering) as server:
        server.folder = folder / "one"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    store = new_store(path)
    fill(store, [record(number) for number in range(20)])
    store.close()
    (tmp_path / "ledger.vkey").write_text(f"{VERIFIER}\n")
    return path


def asked(ledger: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    found = CliRunner().invoke(app, [arguments[0], "--ledger", str(ledger), "--json", *arguments[1:]])
    return found.exit_code, json.loads(found.stdout) if found.stdout.startswith("{") else {"said": str(found.exception)}


def test_a_stamp_counts_for_who_trusts_the_authority_and_shows_a_roll_back(authority: Authority, ledger: Path) -> None:
    roots, other = str(authority.folder / "ca.pem"), str(authority.folder.parent / "other/ca.pem")
    early = ledger.read_bytes()
    with_more = new_store(ledger)
    fill(with_more, [record(number) for number in range(20, 30)])
    with_more.close()
    code, told = asked(ledger, "timestamp", authority.url)
    assert (code, told["size"]) == (0, 30), told
    code, told = asked(ledger, "verify", "--tsa", roots)
    assert (code, told["ok"]) == (0, True), told
    assert (told["timestamps"]["valid"], told["timestamps"]["size"]) == (1, 30)
    assert told["timestamps"]["newest"].startswith("20")
    code, told = asked(ledger, "verify", "--tsa", other)
    assert (code, [each["kind"] for each in told["findings"]]) == (1, ["checkpoint"])
    for each in ledger.parent.glob("ledger.db?*"):
        each.unlink()
    ledger.write_bytes(early)  # the whole file taken back to what was signed earlier
    assert asked(ledger, "verify")[0] == 0
    code, told = asked(ledger, "verify", "--tsa", roots)
    assert code == 1
    assert {each["kind"] for each in told["findings"]} == {"rolled_back", "truncated"}


@pytest.mark.parametrize("what", ["note", "answer", "line"])
def test_a_changed_stamp_is_found(authority: Authority, ledger: Path, what: str) -> None:
    assert asked(ledger, "timestamp", authority.url)[0] == 0
    place = ledger.with_name(NAME)
    values = json.loads(place.read_text())
    if what == "note":
        with intruding(ledger) as intruder:
            values["note"] = intruder.connection.execute("SELECT note FROM checkpoints").fetchone()[0] + "\n"
    answer = bytearray(base64.b64decode(values["answer"]))
    answer[-1] ^= what == "answer"
    values["answer"] = base64.b64encode(answer).decode()
    place.write_text(json.dumps(values) + "\n" if what != "line" else "{}\n")
    code, told = asked(ledger, "verify", "--tsa", str(authority.folder / "ca.pem"))
    assert (code, [each["kind"] for each in told["findings"]]) == (1, ["checkpoint"])


def test_an_authority_that_answers_something_else_is_not_believed(authority: Authority, ledger: Path) -> None:
    assert asked(ledger, "timestamp", authority.url)[0] == 0
    kept = ledger.with_name(NAME).read_bytes()
    for lies in ((authority.folder / "answer").read_bytes(), b"no answer at all", b"\x30\x05\x30\x03\x02\x01\x02"):
        authority.lies = lies
        code, told = asked(ledger, "timestamp", authority.url)
        assert code != 0, told
    authority.lies = b""
    assert ledger.with_name(NAME).read_bytes() == kept
