"""A billing system as an MCP server on standard streams, which trusts whoever asks. Argument: its SQLite file."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import cast

Json = object


def _tool(name: str, description: str, **properties: str) -> dict[str, Json]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"name": name, "description": description, "inputSchema": {**schema, "required": list(properties)}}


TOOLS = [
    _tool("list_invoices", "Lists a customer's invoices.", customer_id="integer"),
    _tool("create_invoice", "Creates an invoice.", customer_id="integer", amount="number", text="string"),
    _tool("refund", "Pays money back to a customer.", customer_id="integer", amount="number"),
]


def _made(file: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "CREATE TABLE IF NOT EXISTS invoices (number TEXT, customer_id INT, amount REAL, text TEXT);"
            "CREATE TABLE IF NOT EXISTS refunds (customer_id INT, amount REAL);"
        )
        if not connection.execute("SELECT 1 FROM invoices").fetchone():
            known = [
                ("INV-1", 70, 120.0, "shoes"),
                ("INV-2", 71, 9.0, "canary-invoice"),
                ("INV-3", 80, 7.0, "canary-us"),
            ]
            connection.executemany("INSERT INTO invoices VALUES (?, ?, ?, ?)", known)
        connection.commit()


def _call(file: str, name: str, given: Mapping[str, Json]) -> Mapping[str, Json]:
    with closing(sqlite3.connect(file)) as connection:
        if name == "list_invoices":
            rows = connection.execute("SELECT number, customer_id, amount, text FROM invoices").fetchall()
            chosen = [row for row in rows if row[1] == given["customer_id"]]
            return {
                "invoices": [dict(zip(("number", "customer_id", "amount", "text"), row, strict=True)) for row in chosen]
            }
        if name == "create_invoice":
            (count,) = cast("tuple[int]", connection.execute("SELECT count(*) FROM invoices").fetchone())
            number = f"INV-{count + 1}"
            values = (number, given["customer_id"], given["amount"], given["text"])
            connection.execute("INSERT INTO invoices VALUES (?, ?, ?, ?)", values)
            connection.commit()
            return {"number": number}
        connection.execute("INSERT INTO refunds VALUES (?, ?)", (given["customer_id"], given["amount"]))
        connection.commit()
        return {"refunded": given["amount"]}


def _answer(file: str, method: str, params: Mapping[str, Json]) -> Mapping[str, Json] | None:
    match method:
        case "initialize":
            about = {"name": "billing", "version": "1"}
            return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
        case "ping":
            return {}
        case "tools/list":
            return {"tools": TOOLS}
        case "tools/call":
            found = _call(file, str(params["name"]), cast("Mapping[str, Json]", params.get("arguments", {})))
            return {"content": [{"type": "text", "text": json.dumps(found)}], "structuredContent": found}
        case _:
            return None


def main() -> None:
    """Answer until the input ends."""
    _made(sys.argv[1])
    for line in sys.stdin:
        message = cast("dict[str, Json]", json.loads(line))
        if "id" not in message:
            continue
        result = _answer(sys.argv[1], str(message.get("method")), cast("Mapping[str, Json]", message.get("params", {})))
        failed = {"error": {"code": -32601, "message": "method not found"}}
        body = failed if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
