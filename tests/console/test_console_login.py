"""Who gets into the console, and who does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from console_world import SECRET, Browser, World

from bailiwick.console.cookies import Jar
from bailiwick.console.logins import Logins
from bailiwick.control.issuers import Person
from bailiwick.gateway.config import load_config
from bailiwick.gateway.ledger.reader import Query, open_reader
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.sessions.logins import LoginStore
from bailiwick.gateway.state import open_state
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.encode import Stamped
from bailiwick.model.record import JsonValue, Record
from bailiwick.model.session import User

pytestmark = pytest.mark.xdist_group("console")


def recorded(world: World, kind: str) -> list[Mapping[str, JsonValue]]:
    reader = open_reader(world.gateway.folder / ".bailiwick" / "ledger.db")
    try:
        return [json.loads(each.body) for each in reader.query(Query(kind=kind, limit=1000))]
    finally:
        reader.close()


def test_link_logs_in_once_and_looking_at_it_does_not_use_it_up(world: World) -> None:
    link, token = world.link(), ""
    token = link.rpartition("=")[2]
    first, second = Browser(world.base), Browser(world.base)
    for _ in range(2):  # a mail program that looks what is behind a link
        assert first.once(link).status == 200
        assert first.once(link, method="HEAD").status == 200
    page = first.go("/console/login/link", {"token": token})
    assert (page.status, page.url.endswith("/console")) == (200, True)
    assert "administrator" in page.text
    again = second.go("/console/login/link", {"token": token})
    assert again.status == 403
    assert second.once("/console").status == 303
    assert '"at": "link"' in json.dumps(recorded(world, "login.refused")[-1])
    assert '"means": "link"' in json.dumps(recorded(world, "login")[-1])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Origin": "https://evil.example"},
        {"Origin": ""},
    ],
)
def test_link_counts_only_at_the_machine_itself_and_from_its_own_page(world: World, headers: dict[str, str]) -> None:
    token = world.link().rpartition("=")[2]
    browser = Browser(world.base)
    assert browser.once("/console/login/link", {"token": token}, headers).status == 403
    assert browser.once("/console").status == 303
    assert browser.once("/console/login/link", {"token": token}).status == 303  # the same without them


def test_people_log_in_at_the_issuer_with_the_roles_of_their_groups(world: World) -> None:
    for name, role, ledger in (("eve", "auditor", 200), ("ann", "approver", 403), ("root", "administrator", 200)):
        browser = Browser(world.base)
        page = browser.log_in(name)
        assert page.status == 200
        assert role in page.text
        assert browser.once("/console/ledger").status == ledger
    assert recorded(world, "login")[-1]["user"] == "root"
    assert any("auditor" in str(each["message"]) for each in recorded(world, "console.refused"))


def test_who_has_no_role_does_not_come_in(world: World) -> None:
    browser = Browser(world.base)
    page = browser.log_in("mallory")
    assert page.status == 403
    assert browser.once("/console").status == 303
    assert "mallory" in str(recorded(world, "login.refused")[-1]["message"])


def test_answer_of_another_login_is_refused(world: World) -> None:
    """A login that was begun in one browser is not completed in another, nor with another state, nor twice."""
    attacker, victim = Browser(world.base), Browser(world.base)
    answer = attacker.log_in("eve", stop="/callback?").url
    assert victim.once(answer).status == 403
    assert victim.once("/console").status == 303
    assert attacker.once(answer.replace("state=", "state=x")).status == 403
    assert attacker.once(answer.replace("iss=", "iss=x")).status == 403
    assert attacker.once(answer).status == 303  # the twin: where it was begun, once
    assert attacker.once("/console").status == 200
    assert attacker.once(answer).status == 403


def test_begun_login_says_pkce_state_and_nonce_and_the_exact_place_to_return_to(world: World) -> None:
    browser = Browser(world.base)
    page = browser.once("/console/login/oidc/login")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(page.headers["location"]).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{world.base}/console/login/oidc/login/callback"
    assert min(len(asked["state"]), len(asked["nonce"]), len(asked["code_challenge"])) >= 32
    (cookie,) = page.cookies
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert SECRET not in page.headers["location"] + cookie
    elsewhere = browser.once("/console/login/oidc/login", headers={"Host": f"localhost:{world.gateway.api_port}"})
    assert elsewhere.headers["location"].startswith(f"{world.base}/console/login/oidc/login")


def test_cookie_planted_before_a_login_is_worth_nothing_after_it(world: World) -> None:
    planted, browser = "planted-by-somebody-else-0123456789abcdef", Browser(world.base)
    name = Jar(world.base).login
    browser.jar[urlsplit(world.base).netloc] = {name: planted}
    assert browser.log_in("eve").status == 200
    own = browser.jar[urlsplit(world.base).netloc][name]
    attacker = Browser(world.base, {urlsplit(world.base).netloc: {name: planted}})
    assert attacker.once("/console").status == 303
    assert browser.log_in("eve", more="&again=yes").status == 200
    assert browser.jar[urlsplit(world.base).netloc][name] != own
    former = Browser(world.base, {urlsplit(world.base).netloc: {name: own}})
    assert former.once("/console").status == 303  # a new login ends the one before


def test_logout_ends_the_login_for_good(world: World) -> None:
    browser = world.browser("eve")
    kept = Browser(world.base, {key: dict(value) for key, value in browser.jar.items()})
    assert kept.once("/console").status == 200
    assert browser.once("/console/logout", {"csrf": browser.once("/console").token}).status == 303
    assert kept.once("/console").status == 303
    assert recorded(world, "logout")[-1]["user"] == "eve"


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example/console",
        "/console//evil.example",
        "/\\evil.example",
        "/console\\..\\..\\evil",
        "/console/../api/v1/status",
        "/consolevil",
        "javascript:alert(1)",
        "/console/login?to=/console/login",
        "/console\r\nX: y",
    ],
)
def test_login_leads_to_pages_of_the_console_only(world: World, to: str) -> None:
    from urllib.parse import quote

    browser = world.browser("eve")
    page = browser.once(f"/console/login?to={quote(to, safe='')}")
    assert page.headers["location"] == "/console"
    assert browser.once("/console/login?to=%2Fconsole%2Fsessions%3Fpast%3Dyes").headers["location"].endswith("past=yes")


def test_cookies_are_for_this_host_alone_and_out_of_reach_for_scripts() -> None:
    tls, plain = Jar("https://bailiwick.example"), Jar("http://127.0.0.1:6435")
    assert tls.set(tls.login, "x") == "__Host-bailiwick-login=x; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert plain.set(plain.login, "x") == "bailiwick-login-6435=x; Path=/; HttpOnly; SameSite=Lax"


class Kept:
    """A ledger that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record | Stamped, durable: Callable[[bool], None]) -> None:
        assert isinstance(record, Record)
        self.records.append(record)
        durable(True)


async def test_login_ends_when_idle_and_at_its_latest_and_is_kept_as_a_hash(tmp_path: Path) -> None:
    now = [datetime(2026, 11, 22, 9, tzinfo=UTC)]
    (tmp_path / "policy.yaml").write_text("bailiwick: 1\n")
    settings = load_config(tmp_path / "policy.yaml", {}).console
    state, ledger = await open_state(tmp_path / "state.db"), Kept()
    logins = Logins(LoginStore(state), Recorder(ledger, lambda: now[0], Ulids()), lambda: now[0], settings)
    person = Person(User("ann"), None, frozenset({"approver"}), "corp")
    first = await logins.enter(person, "oidc", "here", None)
    for _ in range(5):
        now[0] += settings.idle - timedelta(seconds=1)
        assert await logins.find(first.secret) is not None
    now[0] += settings.idle
    assert await logins.find(first.secret) is None
    now[0] -= settings.idle  # what has ended stays ended
    assert await logins.find(first.secret) is None
    second = await logins.enter(person, "oidc", "here", None)
    until = second.login.until
    while now[0] + settings.idle / 2 < until:
        now[0] += settings.idle / 2
        assert await logins.find(second.secret) is not None
    assert await logins.find(second.secret, used=False) is not None
    now[0] = until
    assert await logins.find(second.secret) is None
    assert [each.kind for each in ledger.records] == ["login", "logout", "login", "logout"]
    third = await logins.enter(person, "oidc", "here", None)
    assert logins.clearance(third.login) == "confidential"
    assert logins.clearance(replace(third.login, roles=frozenset({"viewer"}))) == "internal"
    assert logins.clearance(replace(third.login, roles=frozenset({"viewer", "administrator"}))) == "restricted"
    assert logins.clearance(replace(third.login, roles=frozenset())) == "public"
    await state.close()
    assert third.secret.encode() not in written(tmp_path)
    assert third.login.id.encode() in written(tmp_path)


def written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
