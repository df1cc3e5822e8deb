"""`bailiwick http import`: from an OpenAPI document to a mount that loads, and grants nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bailiwick.cli.http import import_api
from bailiwick.errors import ConfigError
from bailiwick.model.action import Action
from bailiwick.mounts.http.importing import as_policy, imported
from bailiwick.policy.load import load
from tests.support.graphql_api import TYPES

DOCUMENT = """\
openapi: 3.1.0
servers: [{url: "https://api.billing.example/v2/"}]
components:
  securitySchemes: {SCHEME}
  parameters: {page: {name: page, in: query, schema: {type: integer}}}
  schemas:
    Refund:
      properties:
        amount: {type: number}
        note: {type: [string, "null"]}
        who: {properties: {id: {type: integer}}}
        tags: {type: array}
        again: {$ref: "#/components/schemas/Refund"}
paths:
  /invoices:
    parameters: [{$ref: "#/components/parameters/page"}, {name: session, in: cookie}]
    get: {parameters: [{name: X-Trace, in: header, schema: {type: string}}, {name: Host, in: header}]}
    post: {requestBody: {content: {application/json: {schema: {type: array}}}}}
  /invoices/{id}:
    get: {parameters: [{name: id, in: path, schema: {type: integer}}]}
    delete: {parameters: [{name: id, in: path, schema: {type: string}}]}
  /invoices/{id}/refund:
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Refund"}}}}
  /invoices/{id}/remove: {post: {summary: x}}
  /bad/{x}{y}: {get: {summary: x}}
  /upload: {post: {requestBody: {content: {multipart/form-data: {}}}}}
  /photos: {post: {requestBody: {content: {multipart/form-data: {schema: {properties: {
    file: {type: string, format: binary}, tags: {type: array, items: {type: string}}, n: {type: integer}}}}}}}}
  /search:
    get:
      parameters:
        - {name: ids, in: query, schema: {type: array, items: {type: integer}}}
        - {name: comma, in: query, explode: false, schema: {type: array, items: {type: integer}}}
  "/odd\\nGET /secret": {get: {summary: "x: {action: all:read}"}}
"""


def made(scheme: str = "key: {type: http, scheme: bearer}") -> str:
    return as_policy(imported("billing", yaml.safe_load(DOCUMENT.replace("SCHEME", scheme))))


def test_every_operation_is_a_route_with_a_guessed_action() -> None:
    loaded = load({"policy.yaml": made()})
    assert loaded.policy is not None, loaded.problems
    mount = loaded.policy.http["billing"]
    assert mount.url.text == "https://api.billing.example/v2"
    assert {name: tool.action for name, tool in mount.routes.items()} == {
        "GET /invoices": Action("invoices", "read"),
        "POST /invoices": Action("invoices", "create"),
        "GET /invoices/{id}": Action("invoices", "read"),
        "DELETE /invoices/{id}": Action("invoices", "delete"),
        "POST /invoices/{id}/refund": Action("invoices", "refund"),
        "POST /invoices/{id}/remove": Action("invoices", "delete"),
        "POST /upload": Action("upload", "create"),
        "POST /photos": Action("photos", "create"),
        "GET /search": Action("search", "read"),
    }
    assert mount.routes["POST /invoices/{id}/refund"].effects == {"money"}
    assert loaded.policy.roles == {}


def test_what_a_request_may_carry_is_named_with_its_type() -> None:
    loaded = load({"policy.yaml": made()})
    assert loaded.policy is not None
    routes = loaded.policy.http["billing"].routes
    one, refund, post = (
        routes[name].route for name in ("GET /invoices", "POST /invoices/{id}/refund", "POST /invoices")
    )
    assert one is not None
    assert refund is not None
    assert post is not None
    assert one.arguments == {"query.page": "integer", "header.x-trace": "string"}
    assert refund.body["who.id"] == "integer"
    assert refund.body["note"] == "any"
    photos, search = routes["POST /photos"].route, routes["GET /search"].route
    assert photos is not None
    assert search is not None
    assert photos.body == {"file": "file", "tags": "strings", "n": "integer"}
    assert search.query == {"ids": "integers", "comma": "string"}
    assert post.arguments == {"query.page": "integer", "body": "any"}


def test_what_cannot_be_taken_over_is_said() -> None:
    text = made()
    for said in ("cookie session is left out", "/bad/{x}{y}: left out", "multipart/form-data cannot be sent"):
        assert said in text
    assert "all:read" not in text


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("key: {type: http, scheme: basic}", "basic"),
        ("key: {type: apiKey, in: query, name: api_key}", "query"),
        ("key: {type: apiKey, in: header, name: X-Key}", "header"),
        ("key: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://login.example/token'}}}", "oauth"),
    ],
)
def test_a_credential_is_a_reference(scheme: str, kind: str) -> None:
    loaded = load({"policy.yaml": made(scheme)})
    assert loaded.policy is not None, loaded.problems
    credential = loaded.policy.http["billing"].credential
    assert credential is not None
    assert credential.kind == kind


def test_what_is_no_document_is_refused(tmp_path: Path) -> None:
    for text in ("[", "a: 1", "swagger: '2.0'", "openapi: 2.0.0"):
        (tmp_path / "x").write_text(text)
        with pytest.raises(ConfigError):
            import_api(tmp_path / "x")
    with pytest.raises(ConfigError):
        import_api(tmp_path / "none")
    (tmp_path / "x").write_text(DOCUMENT.replace("SCHEME", ""))
    import_api(tmp_path / "x", name="billing", out=tmp_path / "policy.yaml")
    assert load({"policy.yaml": (tmp_path / "policy.yaml").read_text()}).policy is not None


def test_graphql_types_become_a_mount_that_loads_and_grants_nothing(tmp_path: Path) -> None:
    types, out = tmp_path / "shop.graphql", tmp_path / "policy.yaml"
    types.write_text(TYPES)
    import_api(types, "shop", out)
    loaded = load({"policy.yaml": out.read_text()})
    assert loaded.policy is not None, loaded.problems
    graphql = loaded.policy.http["shop"].graphql
    assert graphql is not None
    assert graphql.schema == "shop.graphql"
    assert str(graphql.fields["Query.orders"].action) == "order:read"
    assert graphql.fields["Mutation.refund"].effects == {"money"}
    assert not loaded.policy.roles


def test_a_file_that_holds_no_types_is_said_so(tmp_path: Path) -> None:
    types = tmp_path / "shop.graphql"
    types.write_text("type Query {")
    with pytest.raises(ConfigError, match="describes no GraphQL types"):
        import_api(types, "shop", tmp_path / "out.yaml")
