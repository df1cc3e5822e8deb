"""The port to sqlglot: text to trees and back.

Pure Python on purpose: the compiled parser has no limit of recursion and would take the process with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from typing import cast

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from bailiwick.model.decision import Denial
from bailiwick.sql.engines.grammars import GRAMMARS, WRITERS
from bailiwick.sql.engines.refusal import refuse

logging.getLogger("sqlglot").setLevel(logging.CRITICAL + 1)  # it logs texts of statements, which may hold personal data
Node = exp.Expr
MAX_TEXT = 16 * 1024
"""Characters of a statement."""


def scan(sql: str) -> Denial | None:
    """Return why a text is not even parsed. Linear."""
    if len(sql) > MAX_TEXT:
        message = f"the statement has {len(sql)} characters"
        return Denial("statement_too_large", message, f"statements of up to {MAX_TEXT} characters")
    if any(ord(one) < 32 and one not in "\n\r\t" for one in sql):
        return Denial("statement_unparsable", "the statement holds control characters", "text without them")
    return None


def parse(sql: str, grammar: str) -> Node:
    """Return the tree of the one statement of a text. Raises Refused, and RecursionError for what nests too deeply."""
    try:
        found = GRAMMARS[grammar].parse(sql, error_level=ErrorLevel.RAISE)
    except SqlglotError:
        refuse("statement_unparsable", "the statement cannot be parsed", remedy="check its syntax")
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):  # it is no program to be fed by strangers
        refuse("statement_unparsable", "the statement cannot be parsed", remedy="check its syntax")
    trees = [tree for tree in found if tree is not None]
    if len(trees) != 1 or len(found) != 1:
        refuse("statement_not_allowed", f"the text holds {len(trees)} statements", "one statement at a time")
    for frame in trees[0].find_all(exp.WindowSpec):
        if argument(frame, "end") is None:
            frame.set("end", "CURRENT ROW")  # what it means, and how it is written again
    return trees[0]


def text_of(tree: Node, grammar: str) -> str:
    """Return the text of a tree that was walked. INVARIANT: it reads as that tree again. Raises Refused."""
    try:
        sql = _generate(tree, GRAMMARS[grammar])
        _generate(tree, WRITERS[grammar])
        again = (
            parse(sql, grammar)
            if isinstance(tree, exp.Query | exp.Values | exp.Insert | exp.Update | exp.Delete)
            else None
        )
    except SqlglotError:
        refuse("syntax_not_supported", "the statement cannot be written again as it was understood")
    if again is not None and (_quoted(again) != _quoted(tree) or _generate(again, GRAMMARS[grammar]) != sql):
        refuse("syntax_not_supported", "the statement reads differently once it is written again")
    return sql


def piece_of(tree: Node, grammar: str) -> str:
    """Return the text of a part of a tree whose whole was checked by `text_of`."""
    return _generate(tree, WRITERS[grammar])


def _generate(tree: Node, dialect: Dialect) -> str:
    return dialect.generate(tree, identify=True, comments=False, pretty=False, unsupported_level=ErrorLevel.RAISE)


def _quoted(tree: Node) -> Node:
    for node in tree.walk():
        if isinstance(node, exp.Identifier):
            node.set("quoted", True)
    return tree


def without_literals(sql: str, grammar: str) -> str:
    """Return a text with `$n` in place of its literals, without comments; empty where it cannot be read at all.

    They are numbered behind its own `$n`."""
    try:
        tokens = GRAMMARS[grammar].tokenize(sql)
    except (TokenError, ValueError, IndexError, RecursionError):
        return ""
    parts: list[str] = []
    own = {place: found[0] for place in range(len(tokens)) if (found := _given(tokens, place, grammar)) is not None}
    count, end = max(own.values(), default=0), -1
    for place, token in enumerate(tokens):
        if token.start > end + 1 and parts:
            parts.append(" ")
        if token.token_type in _LITERALS and place - 1 not in own:
            count += 1
            parts.append(f"${count}")
        else:
            parts.append(sql[token.start : token.end + 1])
        end = token.end
    return "".join(parts)


def numbered(sql: str, grammar: str, name: str) -> tuple[str, int]:
    """Return a text whose n-th `?`, or whose `$n`, is `:name` followed by n, and how many parameters there are.

    Raises Refused; also where both stand, or a number is left out."""
    # there `x: y` means `y AS x`, and sqlglot reads no cast of a bare parameter
    form = "(${})" if grammar == "duckdb" else ":{}"
    try:
        tokens = GRAMMARS[grammar].tokenize(sql)
    except (TokenError, ValueError, IndexError):
        refuse("statement_unparsable", "the statement cannot be parsed", remedy="check its syntax")
    parts: list[str] = []
    given: list[int] = []
    marks, end = 0, 0
    for place, token in enumerate(tokens):
        if token.token_type in (TokenType.PLACEHOLDER, TokenType.QDCOLON):  # the latter is `?::`
            marks += 1
            number, after = marks, token.start + 1
        elif (found := _given(tokens, place, grammar)) is not None:
            number, after = found
            given.append(number)
        else:
            continue
        parts += [sql[end : token.start], f" {form.format(f'{name}{number}')} "]
        end = after
    most = max(given, default=0)
    if given and (marks or {*given} != {*range(1, most + 1)}):
        refuse("statement_unparsable", "its parameters are not numbered one by one", "`?`, or `$1`, `$2`, … from 1 on")
    return "".join(parts) + sql[end:], most or marks


def _given(tokens: Sequence[Token], place: int, grammar: str) -> tuple[int, int] | None:
    """Return the number of the `$n` that begins with a token, and where it ends; None when none does."""
    token = tokens[place]
    if grammar == "sqlite" and token.token_type == TokenType.VAR and _NUMBERED.fullmatch(token.text):
        return int(token.text[1:]), token.end + 1
    if grammar != "duckdb" or token.token_type != TokenType.PARAMETER or place + 1 == len(tokens):
        return None
    number = tokens[place + 1]
    known = number.token_type == TokenType.NUMBER and number.start == token.end + 1
    return (int(number.text), number.end + 1) if known and _NUMBERED.fullmatch(f"${number.text}") else None


_NUMBERED = re.compile(r"\$[1-9][0-9]{0,3}")


def check_gaps(sql: str, grammar: str, known: re.Pattern[str]) -> None:
    """Deny a text that holds something else than `known` between its tokens. Raises Refused."""
    try:
        tokens = GRAMMARS[grammar].tokenize(sql)
    except (TokenError, ValueError, IndexError):
        refuse("statement_unparsable", "the statement cannot be parsed", remedy="check its syntax")
    starts = [*(token.start for token in tokens), len(sql)]
    ends = [0, *(token.end + 1 for token in tokens)]
    for start, end in zip(ends, starts, strict=True):
        if not known.fullmatch(sql, start, end):
            refuse("syntax_not_supported", "this kind of comment is not supported here", "`-- ` and plain comments")


_LITERALS = frozenset(
    {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
        TokenType.BYTE_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.UNICODE_STRING,
    }
)


def argument(node: Node, key: str) -> object:
    """Return what a node holds under a key."""
    return cast("object", node.args.get(key))


def child(node: Node, key: str) -> Node | None:
    """Return the node under a key."""
    found = argument(node, key)
    return found if isinstance(found, exp.Expr) else None


def children(node: Node, key: str) -> list[Node]:
    """Return the nodes of a list under a key."""
    found = argument(node, key)
    if not isinstance(found, list):
        return []
    return [each for each in cast("list[object]", found) if isinstance(each, exp.Expr)]


def parts(node: Node) -> Iterator[tuple[str, object]]:
    """Yield key and value of all that a node holds, the items of lists one by one; nothing for what is absent."""
    for key, value in cast("dict[str, object]", node.args).items():
        if value is None or value is False or value == []:
            continue
        if isinstance(value, list):
            for each in cast("list[object]", value):
                yield key, each
        else:
            yield key, value


def identifier(name: str) -> Node:
    """Return a quoted identifier."""
    return exp.Identifier(this=name, quoted=True)
