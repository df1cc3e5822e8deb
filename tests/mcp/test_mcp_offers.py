"""Documents and prompts at the MCP front: listed and read as granted, and what of them reaches the agent."""

from __future__ import annotations

import json
from typing import cast

import pytest

from tests.mcp.conftest import Desk
from tests.support.mcp_client import Answer, McpClient
from tests.support.mcp_offers import PNG

pytestmark = pytest.mark.xdist_group("mcp")
Rows = list[dict[str, object]]


@pytest.fixture(scope="module")
def bot(desk: Desk) -> McpClient:
    return desk.client()


def read(client: McpClient, uri: str) -> Answer:
    return client.ask("resources/read", {"uri": uri})


def contents(answer: Answer) -> Rows:
    return cast("Rows", answer.result["contents"])


def code(answer: Answer) -> str:
    return str(cast("dict[str, object]", answer.error["data"])["code"])


def test_only_granted_documents_and_prompts_are_listed(bot: McpClient) -> None:
    documents = cast("Rows", bot.ask("resources/list").result["resources"])
    assert [each["uri"] for each in documents] == ["notes://handbook", "notes://orders"]
    assert documents[0]["description"] == "the rules"
    templates = cast("Rows", bot.ask("resources/templates/list").result["resourceTemplates"])
    assert [each["uriTemplate"] for each in templates] == ["notes://{name}", "customers://{id}/file"]
    (prompt,) = cast("Rows", bot.ask("prompts/list").result["prompts"])
    assert prompt["name"] == "greet"
    assert [each["name"] for each in cast("Rows", prompt["arguments"])] == ["tone"]
    modern = bot.modern("resources/list").result
    assert (modern["resources"], modern["cacheScope"]) == (documents, "private")
    assert "CANARY" not in json.dumps([documents, templates, prompt])


def test_a_document_is_read_as_granted(bot: McpClient) -> None:
    assert contents(read(bot, "notes://handbook")) == [
        {"uri": "notes://handbook", "mimeType": "text/plain", "text": "how we work"}
    ]
    modern = bot.modern("resources/read", {"uri": "notes://handbook"}).result
    assert (modern["resultType"], modern["ttlMs"]) == ("complete", 0)
    mine = read(bot, "customers://501/file")
    assert [each["uri"] for each in contents(mine)] == ["customers://501/file", "notes://handbook"]
    assert contents(mine)[0]["blob"] == PNG
    (orders,) = contents(read(bot, "notes://orders"))
    assert json.loads(str(orders["text"])) == [{"id": 1, "customer_id": 501}]
    assert b"CANARY" not in mine.body


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("notes://secret", "resource_unknown"),  # though a template that is granted would fit it too
        ("customers://502/file", "argument_not_granted"),
        ("customers://%35%30%31/file", "resource_unknown"),
        ("customers://501%2F..%2F502/file", "resource_unknown"),
        ("notes://..", "resource_unknown"),
        ("notes://a/b", "resource_unknown"),
        ("NOTES://handbook", "resource_unknown"),
        ("notes://handbook\u200b", "resource_unknown"),
        ("file:///etc/passwd", "resource_unknown"),
        ("document:notes://handbook", "resource_unknown"),
    ],
)
def test_another_document_does_not_exist(bot: McpClient, uri: str, said: str) -> None:
    answer = read(bot, uri)
    assert code(answer) == said
    assert b"CANARY" not in answer.body
    assert bot.modern("resources/read", {"uri": "notes://secret"}).error["code"] == -32602


def test_what_the_server_says_of_a_missing_document_stays_with_an_open_view(bot: McpClient) -> None:
    assert read(bot, "notes://missing").error["code"] == -32002


def test_a_prompt_is_given_as_granted(bot: McpClient) -> None:
    answer = bot.ask("prompts/get", {"name": "greet", "arguments": {"tone": "kind"}})
    messages = cast("Rows", answer.result["messages"])
    sent = json.loads(str(cast("dict[str, object]", messages[0]["content"])["text"]))
    assert sent == {"customer": "501", "tone": "kind", "tenant": "acorn"}
    kinds = [cast("dict[str, object]", each["content"])["type"] for each in messages]
    assert kinds == ["text", "text", "image", "audio", "resource", "resource_link"]
    assert b"CANARY" not in answer.body
    for arguments in ({"tone": "rude"}, {"customer": "502"}, {"tenant": "oak"}, {"other": "x"}):
        assert code(bot.ask("prompts/get", {"name": "greet", "arguments": arguments})) == "argument_not_granted"
    assert code(bot.ask("prompts/get", {"name": "unmapped_prompt"})) == "resource_unknown"
    assert bot.ask("prompts/get", {"name": "greet", "arguments": {"tone": 5}}).error["code"] == -32602


def test_each_kind_is_its_own(desk: Desk, bot: McpClient) -> None:
    before = len(desk.calls)
    for name in ("greet", "prompt:greet", "document:notes://handbook", "notes://handbook"):
        assert bot.call(name).code == "resource_unknown"
    for name in ("search", "document:notes://handbook"):
        assert code(bot.ask("prompts/get", {"name": name})) == "resource_unknown"
    assert len(desk.calls) == before


def test_every_kind_of_content_passes_and_links_only_to_what_may_be_read(desk: Desk) -> None:
    answer = desk.client("tester").call("misbehave", how="links")
    found = cast("Rows", answer.result["content"])
    assert [each["type"] for each in found] == ["text", "image", "audio", "resource", "resource_link"]
    assert found[1] == {"type": "image", "data": PNG, "mimeType": "image/png", "annotations": {"audience": ["user"]}}
    assert found[4]["uri"] == "notes://handbook"
    assert b"CANARY" not in answer.body


def test_completions_hold_only_values_that_are_granted(bot: McpClient) -> None:
    def complete(ref: dict[str, str], name: str, value: str = "") -> Answer:
        return bot.ask("completion/complete", {"ref": ref, "argument": {"name": name, "value": value}})

    greet, file = {"type": "ref/prompt", "name": "greet"}, {"type": "ref/resource", "uri": "customers://{id}/file"}
    assert complete(greet, "tone").result["completion"] == {"values": ["kind", "formal"], "hasMore": False}
    for ref, name in ((greet, "customer"), (greet, "tenant"), (file, "id"), (greet, "nothing")):
        answer = complete(ref, name)
        assert code(answer) == "argument_not_granted"
        assert b"CANARY" not in answer.body
    assert code(complete({"type": "ref/prompt", "name": "other"}, "x")) == "resource_unknown"
    assert complete({"type": "ref/tool", "name": "search"}, "query").error["code"] == -32602


def test_what_was_read_is_on_record_without_what_the_agent_wrote(desk: Desk, bot: McpClient) -> None:
    read(bot, "customers://501/file")
    read(bot, "notes://note-of-mine")
    told = [str(each.get("statement")) for each in desk.records()]
    mine, other = [each for each in told if each.startswith("document:")][-2:]
    assert mine == 'document:customers://{id}/file {"id":"501"}'
    assert other.startswith('document:notes://{name} {"name":"hmac:')


def test_my_permissions_tells_of_them(bot: McpClient) -> None:
    said = cast("list[str]", bot.call("my_permissions").data["may"])
    assert "reads notes://handbook" in " ".join(said)
    assert "uses prompt greet with customer" in " ".join(said)
