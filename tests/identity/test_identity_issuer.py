"""From nothing but a refusal to rows of one person's region: a real issuer, a real gateway, a client that discovers."""

from __future__ import annotations

import json
import re
from typing import cast

import pytest
from identity_world import ROWS, SECRET, World, call, spoiled


def discovered(world: World) -> str:
    """Return the token endpoint, as a client finds it that knows the MCP endpoint alone."""
    status, headers, _ = call(world.mcp, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
    assert status == 401
    found = re.search(r'resource_metadata="([^"]+)"', headers["www-authenticate"])
    assert found is not None
    _, _, resource = call(found[1])
    assert resource["resource"] == world.mcp
    (server,) = cast("list[str]", resource["authorization_servers"])
    _, _, metadata = call(f"{server}/.well-known/oauth-authorization-server")
    assert metadata["issuer"] == server
    return str(metadata["token_endpoint"])


@pytest.mark.xdist_group("identity")
def test_agent_of_a_person_sees_that_persons_rows(world: World) -> None:
    endpoint = discovered(world)
    for person, row in (("ada", "canary-eu-four"), ("bob", "canary-us-four")):
        status, _, body = world.exchange(endpoint, world.id_token(person))
        assert status == 200, body
        told = world.rows(str(body["access_token"]))
        assert [note for *_, note in ROWS if note in told] == [row]


@pytest.mark.xdist_group("identity")
def test_wrong_person_wrong_audience_and_forged_tokens_get_nothing(world: World) -> None:
    endpoint = discovered(world)
    good = world.id_token("ada")
    for token in (world.id_token("eve"), world.id_token("ada", "another-app"), spoiled(good), SECRET):
        status, _, body = world.exchange(endpoint, token)
        assert status == 400
        assert "access_token" not in body
        assert "canary" not in json.dumps(body)
    assert world.exchange(endpoint, good)[0] == 200


@pytest.mark.xdist_group("identity")
def test_revoked_token_is_replayed_in_vain_and_no_secret_is_written_anywhere(world: World) -> None:
    endpoint = discovered(world)
    token = str(world.exchange(endpoint, world.id_token("ada"))[2]["access_token"])
    client = {"client_id": "desk", "client_secret": SECRET, "token": token}
    assert call(endpoint.replace("/token", "/introspect"), client)[2]["active"] is True
    assert call(endpoint.replace("/token", "/revoke"), client)[0] == 200
    assert call(endpoint.replace("/token", "/introspect"), client)[2] == {"active": False}
    assert call(world.mcp, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', token)[0] == 401
    written = b"".join(each.read_bytes() for each in world.gateway.folder.rglob("*") if each.is_file())
    for secret in (SECRET, token.rpartition(".")[2]):
        assert secret.encode() not in written
