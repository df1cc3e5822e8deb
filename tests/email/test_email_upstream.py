"""The way to the mail server: secured, logged in, kept; what is not sure is not sent, and nothing is sent twice."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from bailiwick.errors import BackendError, ConfigError
from bailiwick.gateway.secrets import Secret
from bailiwick.mounts.email.server import MailServer, place_of, tls_of
from tests.support.mail_server import PASSWORD, USER, mail_server

pytestmark = pytest.mark.xdist_group("email")
AWAY = "127.0.0.2"
"""An address of this machine that does not count as one."""
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("mailtls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=mail", "-addext", f"subjectAltName=IP:{AWAY}", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert), *names], check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


def server_at(
    port: int, certificate: Path | None, *, scheme: str = "smtp", login: str = f"{USER}:{PASSWORD}@"
) -> MailServer:
    url = Secret(f"{scheme}://{login}{AWAY}:{port}")
    base = Path("/") if certificate is None else certificate.parent
    return MailServer(place_of("mail", url), tls_of("mail", "" if certificate is None else certificate.name, base))


async def sent(server: MailServer, message: bytes = MESSAGE) -> tuple[str, int]:
    found = await server.send("a@acme.example", ["bo@ok.example"], message)
    return found.fate, found.code


async def test_starttls_and_a_login_come_before_anything(
    certificate: tuple[Path, Path], context: ssl.SSLContext
) -> None:
    with mail_server(AWAY, context) as found:
        server = server_at(found.port, certificate[0])
        assert await sent(server) == ("accepted", 250)
        assert await sent(server) == ("accepted", 250)
        await server.close()
    assert [(got.secured, got.user) for got in found.got] == [(True, USER)] * 2
    assert found.connections == 1


async def test_implicit_tls(certificate: tuple[Path, Path], context: ssl.SSLContext) -> None:
    with mail_server(AWAY, context, implicit=True) as found:
        server = server_at(found.port, certificate[0], scheme="smtps")
        assert await sent(server) == ("accepted", 250)
        await server.close()
    assert len(found.got) == 1


async def test_without_trust_in_its_certificate_nothing_is_sent(context: ssl.SSLContext) -> None:
    with mail_server(AWAY, context) as found:
        server = server_at(found.port, None)
        assert await sent(server) == ("unavailable", 0)
        with pytest.raises(BackendError, match="certificate"):
            await server.connect()
    assert found.got == []


async def test_without_starttls_nothing_is_sent_beyond_this_machine() -> None:
    with mail_server(AWAY) as found:
        server = server_at(found.port, None, login="")
        assert await sent(server) == ("unavailable", 0)
        with pytest.raises(BackendError, match="STARTTLS"):
            await server.connect()
    assert found.got == []


async def test_a_wrong_login_is_told_apart(certificate: tuple[Path, Path], context: ssl.SSLContext) -> None:
    with mail_server(AWAY, context) as found:
        server = server_at(found.port, certificate[0], login="gateway:wrong@")
        with pytest.raises(BackendError, match="login") as refused:
            await server.connect()
    assert "CANARY" not in str(refused.value)
    assert found.got == []


async def test_a_message_is_refused_or_of_unknown_fate_and_given_once() -> None:
    with mail_server() as found:
        server = MailServer(place_of("mail", Secret(f"smtp://127.0.0.1:{found.port}")), ssl.create_default_context())
        assert await sent(server, MESSAGE + b"REFUSE ME\r\n") == ("refused", 554)
        assert await sent(server, MESSAGE + b"DROP ME\r\n") == ("unknown", 0)
        assert await sent(server) == ("accepted", 250)
        await server.close()
    assert len(found.got) == 2


async def test_a_connection_that_the_server_closed_meanwhile_is_opened_anew_and_one_message_is_one() -> None:
    with mail_server() as found:
        server = MailServer(place_of("mail", Secret(f"smtp://127.0.0.1:{found.port}")), ssl.create_default_context())
        assert await sent(server) == ("accepted", 250)
        found.hang_up()
        assert await sent(server) == ("accepted", 250)
        await server.close()
    assert (len(found.got), found.connections) == (2, 2)


async def test_no_server_is_unavailable() -> None:
    with mail_server() as found:
        port = found.port
    server = MailServer(place_of("mail", Secret(f"smtp://127.0.0.1:{port}")), ssl.create_default_context())
    assert await sent(server) == ("unavailable", 0)


@pytest.mark.parametrize(
    "url", ["http://CANARY", "smtp://", "smtp://CANARY/path", "smtp://CANARY?x=1", "smtp://CANARY:x", "CANARY"]
)
def test_what_is_no_mail_server_is_refused_without_being_named(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        place_of("mail", Secret(url))
    assert "CANARY" not in str(refused.value)
