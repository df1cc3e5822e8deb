"""A small grammar of queries over the tables of `same_answers/schema.sql`: seeded, valid, and of one answer only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from tests.sql.same_answers_rig import Query

Columns = tuple[tuple[str, str], ...]
"""(reference, kind) of what can be named at a place; kinds: int num text date time zone bool json texts."""

_TABLES: dict[str, str] = {
    "customers": "customer_id int, name text, email text, region text, tier int, born date, created_at zone,"
    " balance num, tags texts, profile json, referrer int, active bool",
    "products": "product_id int, sku text, title text, category text, price num, attributes json",
    "orders": "order_id int, customer_id int, placed time, shipped date, status text, total num, note text",
    'shop."Order Lines"': 'order_id int, "lineNo" int, product_id int, "select" int, "Größe" text, "a""b" num',
    '"user"': 'id int, "order" int, "Name" text, "table" text',
    "best": "customer_id int, spent num",
    "agents": "agent_id int, name text, team_id int, boss int, hired date",
    "desk.teams": "team_id int, name text, parent int",
    "tickets": "ticket_id int, customer_id int, agent_id int, subject text, body text, status text, priority int,"
    " opened zone, closed zone, labels texts",
    "sensors.devices": "device_id text, kind text, settings json, installed date, serial int",
    "readings": "device_id text, at zone, quality int",
    "alarms": 'alarm_id int, device_id text, "from" zone, "to" zone, level int',
}
_KEYS = ("customer_id", "order_id", "product_id", "agent_id", "team_id", "device_id")
_ORDERED = ("int", "num", "text", "date", "time", "zone", "bool", "texts")
_CONSTANTS: dict[str, tuple[str, ...]] = {
    "int": ("0", "1", "3", "7", "(-2)", "25"),
    "num": ("10.5", "(-3.25)", "200.0", "0.0"),
    "text": ("'EU'::text", "text 'a'", "'Problem with lamp'::text", "'x''y'::text", "''::text", "E'a\\nb'::text"),
    "date": ("DATE '2025-01-15'", "date '1975-06-01'", "'2025-02-01'::date"),
    "time": ("TIMESTAMP '2025-01-10 12:00'", "'2025-02-01'::timestamp"),
    "zone": ("TIMESTAMPTZ '2025-02-03 10:00+00'", "'2025-01-20'::timestamptz"),
    "bool": ("TRUE", "false"),
    "json": ("""'{"a": 1, "color": "red"}'::jsonb""", "'[1, 2]'::jsonb"),
    "texts": ("'{vip}'::text[]", "ARRAY['new', 'a']"),
}
_MADE: dict[str, tuple[str, ...]] = {
    "int": (
        "({int} + {int} % 11)",
        "({int} * 2)",
        "abs({int} % 13)",
        "length({text})",
        "coalesce({int}, 0)",
        "nullif({int}, 3)",
        "greatest({int}, {int})",
        "extract(year FROM {date})::int",
        "cardinality({texts})",
        "(CASE WHEN {bool} THEN {int} ELSE {int} END)",
        "({date} - DATE '2025-01-01')",
        "position('a' IN {text})",
        "mod({int}, 7)",
        "({json} ->> 'age')::int",
        "jsonb_array_length(jsonb_build_array({int}, {text}))",
        "JSON_VALUE({json}, '$.age' RETURNING int)",
        "date_part('month', {time})::int",
        "(- {int})",
        "array_length(string_to_array({text}, ' '), 1)",
        "width_bucket({num}, 0, 500, 5)",
        "strpos({text}, 'o')",
    ),
    "num": (
        "({num} + {int})",
        "round({num} / nullif({int}, 0), 2)",
        "({num} * 1.1)",
        "abs({num})",
        "{int}::numeric",
        "coalesce({num}, 0.0)",
        "trunc({num}, 1)",
        "least({num}, {num})",
        "({num} - {num})",
        "CAST({int} AS numeric)",
    ),
    "text": (
        "upper({text})",
        "lower({text})",
        "({text} || '-' || {text})",
        "left({text}, 5)",
        "substring({text} FROM 2 FOR 4)",
        "coalesce({text}, 'none')",
        "{int}::text",
        "to_char({date}, 'YYYY-MM')",
        "replace({text}, 'a', '_')",
        "split_part({text}, ' ', 1)",
        "({json} ->> 'color')",
        "({json} #>> '{{address,city}}')",
        "initcap({text})",
        "concat_ws('/', {text}, {int}, {bool})",
        "(CASE {int} WHEN 1 THEN 'one' WHEN 3 THEN {text} ELSE 'many' END)",
        "trim(both 'x' FROM {text})",
        "regexp_replace({text}, '[aeiou]', '*', 'g')",
        "format('%s:%s', {int}, {text})",
        "nullif({text}, '')",
        "array_to_string({texts}, ',')",
        "({texts})[1]",
        "md5({text})",
        "reverse({text})",
        "JSON_VALUE({json}, '$.address.city')",
        "lpad({text}, 8, '.')",
        "to_char({num}, 'FM9990.00')",
        '({text} COLLATE "C")',
        "overlay({text} PLACING 'zz' FROM 1 FOR 1)",
        "CAST({text} AS varchar(6))",
    ),
    "date": (
        "({date} + ({int} % 30)::int)",
        "{time}::date",
        "{zone}::date",
        "coalesce({date}, DATE '2025-03-01')",
        "make_date(2025, 1 + (abs({int}) % 12)::int, 3)",
    ),
    "time": (
        "date_trunc('month', {time})",
        "({time} + INTERVAL '1 day')",
        "{date}::timestamp",
        "({zone} AT TIME ZONE 'Europe/Berlin')",
    ),
    "zone": (
        "date_trunc('day', {zone})",
        "({zone} - INTERVAL '2 hours')",
        "({time} AT TIME ZONE 'UTC')",
        "date_bin('6 hours', {zone}, TIMESTAMPTZ '2025-01-01')",
    ),
    "bool": (
        "({int} = {int})",
        "({int} > {int})",
        "({num} <= {num})",
        "({text} = {text})",
        "({text} LIKE '%a%')",
        "({text} IS NULL)",
        "({int} BETWEEN 1 AND 20)",
        "({int} IN (1, 2, 3, 5))",
        "({text} ILIKE 'p%')",
        "({bool} AND {bool})",
        "(NOT {bool})",
        "({bool} OR {bool})",
        "({date} < {date})",
        "({zone} >= {zone})",
        "({int} IS DISTINCT FROM {int})",
        "({text} ~ '^[A-M]')",
        "({json} ? 'age')",
        '({json} @> \'{{"color": "red"}}\')',
        "('vip' = ANY ({texts}))",
        "({int} = ANY (ARRAY[1, 4, {int}]))",
        "(({int}, {text}) > (3, 'm'))",
        "({num} NOT BETWEEN SYMMETRIC 100 AND 5)",
        "({texts} && ARRAY['new', 'b'])",
        "JSON_EXISTS({json}, '$.langs[*] ? (@ == \"de\")')",
        "({bool} IS NOT TRUE)",
        "(({date}, {date} + 5) OVERLAPS (DATE '2025-01-05', INTERVAL '20 days'))",
        "({text} SIMILAR TO '(A|B)%')",
        "({text} ^@ 'P')",
        "({int} <> ALL ('{{1,2}}'))",
        "starts_with({text}, 'A')",
        "({text} IN ('EU', 'open', 'home'))",
        "(to_tsvector('english', {text}) @@ plainto_tsquery('english', 'lamp'))",
        "({time} > {time})",
        "({text} < {text})",
    ),
    "json": (
        "jsonb_build_object('k', {int}, 't', {text})",
        "({json} -> 'address')",
        "({json} || '{{\"x\": 1}}')",
        "to_jsonb({text})",
        "JSON_OBJECT('n': {int}, 't': {text} RETURNING jsonb)",
        "JSON_QUERY({json}, '$.langs')",
        "jsonb_strip_nulls({json})",
        "jsonb_strip_nulls({json})",
        "JSON_ARRAY({int}, {text} RETURNING jsonb)",
        "({json})['age']",
    ),
    "texts": (
        "({texts} || {text}::text)",
        "array_remove({texts}, 'new')",
        "string_to_array({text}, ' ')",
        "ARRAY[{text}, {text}]",
    ),
}
_AGGREGATES = (
    ("int", "count(*)::int"),
    ("int", "count({int})::int"),
    ("int", "count(DISTINCT {text})::int"),
    ("num", "sum({num})"),
    ("int", "max({int})"),
    ("text", "min({text})"),
    ("num", "round(avg({int}), 3)"),
    ("bool", "bool_or({bool})"),
    ("text", "string_agg({x}, ',' ORDER BY {x})"),
    ("int", "(count(*) FILTER (WHERE {bool}))::int"),
    ("num", "sum({int}) FILTER (WHERE {bool})::numeric"),
    ("texts", "array_agg(DISTINCT {text})"),
    ("int", "percentile_disc(0.5) WITHIN GROUP (ORDER BY {int})"),
    ("json", "jsonb_agg({n} ORDER BY {n})"),
    ("text", "mode() WITHIN GROUP (ORDER BY {text})"),
    ("json", "JSON_ARRAYAGG({n} ORDER BY {n} RETURNING jsonb)"),
)
_WINDOWS = (
    ("int", "(rank() OVER (PARTITION BY {text} ORDER BY {int}))::int"),
    ("int", "(dense_rank() OVER (ORDER BY {text}, {int}))::int"),
    ("num", "sum({num}) OVER (PARTITION BY {text})"),
    ("int", "(count(*) OVER ())::int"),
    ("int", "max({int}) OVER (ORDER BY {int} RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"),
    ("num", "sum({int}) OVER (PARTITION BY {bool} ORDER BY {int} GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING)::numeric"),
    ("text", "min({text}) OVER (PARTITION BY {int} ORDER BY {text})"),
)


class Maker:
    """Makes one query after the other from one stream of chance."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.count = 0
        self.ctes: list[tuple[str, Columns]] = []

    def name(self, stem: str = "t") -> str:
        """Return a new alias, now and then one that must be quoted."""
        self.count += 1
        plain = f"{stem}{self.count}"
        return self.chance.choice((plain,) * 6 + (f'"{plain} Ü"', f'"Select{self.count}"'))

    def maybe(self, share: float) -> bool:
        """Return whether something of that probability happens."""
        return self.chance.random() < share

    def filled(self, template: str, columns: Columns, depth: int) -> str:
        """Put expressions of the kinds that the template asks for into it."""
        text = template
        for same, kind in (("{n}", "int"), ("{x}", "text")):
            if same in text:
                text = text.replace(same, self.value(kind, columns, 0))
        for kind in _CONSTANTS:
            while "{" + kind + "}" in text:
                text = text.replace("{" + kind + "}", self.value(kind, columns, depth - 1), 1)
        return text.replace("{{", "{").replace("}}", "}")

    def value(self, kind: str, columns: Columns, depth: int) -> str:
        """Return an expression of the kind."""
        known = [name for name, of in columns if of == kind]
        if depth > 0 and self.maybe(0.35):
            return self.filled(self.chance.choice(_MADE[kind]), columns, depth)
        if depth > 1 and kind in ("int", "text", "num") and self.maybe(0.06):
            return self.scalar_query(kind, columns, depth)
        return self.chance.choice(known) if known and self.maybe(0.85) else self.chance.choice(_CONSTANTS[kind])

    def scalar_query(self, kind: str, outer: Columns, depth: int) -> str:
        """Return a correlated sub-query of one value."""
        source, columns = self.relation()
        picked = [name for name, of in columns if of == kind]
        value = self.chance.choice(picked) if picked else self.chance.choice(_CONSTANTS[kind])
        return f"(SELECT max({value}) FROM {source} WHERE {self.correlation(columns, outer, depth)})"

    def correlation(self, columns: Columns, outer: Columns, depth: int) -> str:
        """Return a condition between the columns of a sub-query and those around it."""
        kind = self.chance.choice(("int", "text"))
        left, right = self.value(kind, columns, 0), self.value(kind, outer, 0)
        more = f" AND {self.condition(columns, depth - 2)}" if self.maybe(0.4) else ""
        return f"{left} = {right}{more}"

    def condition(self, columns: Columns, depth: int) -> str:
        """Return a condition, sometimes with a sub-query."""
        if depth > 1 and self.maybe(0.25):
            source, inner = self.relation()
            match self.chance.randrange(4):
                case 0:
                    no = "NOT " if self.maybe(0.4) else ""
                    return f"{no}EXISTS (SELECT 1 FROM {source} WHERE {self.correlation(inner, columns, depth)})"
                case 1:
                    return f"{self.value('int', columns, 1)} IN (SELECT {self.value('int', inner, 1)} FROM {source})"
                case 2:
                    sign = self.chance.choice(("= ANY", ">= ALL", "< SOME"))
                    return (
                        f"{self.value('int', columns, 0)} {sign} (SELECT {self.value('int', inner, 0)} FROM {source})"
                    )
                case _:
                    pair = f"{self.value('int', inner, 0)}, {self.value('text', inner, 0)}"
                    own = f"{self.value('int', columns, 0)}, {self.value('text', columns, 0)}"
                    return f"({own}) IN (SELECT {pair} FROM {source})"
        return self.filled(self.chance.choice(_MADE["bool"]), columns, depth)

    def relation(self) -> tuple[str, Columns]:
        """Return a relation or CTE with an alias, and its columns as they can be named."""
        if self.ctes and self.maybe(0.4):
            named, known = self.chance.choice(self.ctes)
        else:
            named = self.chance.choice(tuple(_TABLES))
            known = _columns(_TABLES[named])
        alias = self.name()
        if named[0] != '"' and "." not in named and self.maybe(0.05):
            named = f"ONLY {named}" if named in _TABLES else named
        word = " AS " if self.maybe(0.5) or alias[0] == '"' else " "
        return f"{named}{word}{alias}", tuple((f"{alias}.{name}", kind) for name, kind in known)

    def item(self, depth: int) -> tuple[str, Columns]:
        """Return one FROM item."""
        alias = self.name("q")
        match self.chance.randrange(12) if depth > 0 else 11:
            case 0 | 1:
                sql, columns = self.body(depth - 1)
                return f"({sql}) AS {alias}", tuple((f"{alias}.{name}", kind) for name, kind in columns)
            case 2:
                rows = ", ".join(f"({i}, '{chr(96 + i)}')" for i in range(1, 5))
                return f"(VALUES {rows}) AS {alias} (n, s)", ((f"{alias}.n", "int"), (f"{alias}.s", "text"))
            case 3:
                return f"generate_series(1, 6) WITH ORDINALITY AS {alias} (n, o)", ((f"{alias}.n", "int"),)
            case 4:
                lists = "ARRAY[1, 2, 3], ARRAY['a', 'b']"
                return f"unnest({lists}) AS {alias} (n, s)", ((f"{alias}.n", "int"), (f"{alias}.s", "text"))
            case 5:
                text = """json_to_recordset('[{"n": 1, "s": "x"}, {"n": 2}]')"""
                return f"{text} AS {alias} (n int, s text)", ((f"{alias}.n", "int"), (f"{alias}.s", "text"))
            case _:
                return self.relation()

    def joined(self, depth: int) -> tuple[str, Columns]:
        """Return a FROM clause."""
        sql, columns = self.item(depth)
        for _ in range(self.chance.choice((0, 0, 1, 1, 2))):
            right, more = self.item(depth - 1) if self.maybe(0.8) else self.lateral(columns, depth)
            shared = [key for key in _KEYS if _ending(columns, key) == 1 and _ending(more, key) == 1]
            lateral = right.startswith("LATERAL")
            word = self.chance.choice(
                ("JOIN", "LEFT JOIN", "INNER JOIN") + (() if lateral else ("FULL JOIN", "RIGHT JOIN"))
            )
            if shared and not lateral and self.maybe(0.6):
                sql += f" {word} {right} USING ({shared[0]})"
            elif word == "FULL JOIN":
                sql += f" {word} {right} ON {self.value('int', columns, 0)} = {self.value('int', more, 0)}"
            else:
                condition = f"{self.value('int', columns, 0)} = {self.value('int', more, 0)}"
                if self.maybe(0.3):
                    condition += f" AND {self.filled(self.chance.choice(_MADE['bool']), columns + more, 1)}"
                sql += f" {word} {right} ON {condition}"
            columns += more
        return sql, columns

    def lateral(self, around: Columns, depth: int) -> tuple[str, Columns]:
        """Return a LATERAL item."""
        alias = self.name("l")
        if self.maybe(0.3):
            return f"LATERAL generate_series(1, {self.value('int', around, 0)} % 4) AS {alias} (n)", (
                (f"{alias}.n", "int"),
            )
        if self.maybe(0.3):
            table = (
                f"JSON_TABLE({self.value('json', around, 0)}, '$' COLUMNS (n int PATH '$.age', s text PATH '$.color'))"
            )
            return f"LATERAL {table} AS {alias}", ((f"{alias}.n", "int"), (f"{alias}.s", "text"))
        source, columns = self.relation()
        chosen = f"{self.value('int', columns, 1)} AS n, {self.value('text', columns + around, 1)} AS s"
        sql = f"SELECT {chosen} FROM {source} WHERE {self.correlation(columns, around, depth)} ORDER BY 1, 2 LIMIT 2"
        return f"LATERAL ({sql}) AS {alias}", ((f"{alias}.n", "int"), (f"{alias}.s", "text"))

    def body(self, depth: int) -> tuple[str, Columns]:
        """Return a query without ORDER BY, with named output columns."""
        if depth > 0 and self.maybe(0.15):
            word = self.chance.choice(("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"))
            sides: list[str] = []
            for _ in range(2):
                source, columns = self.joined(depth - 1)
                values = f"{self.value('int', columns, 1)} AS a, {self.value('text', columns, 1)} AS b"
                sides.append(f"SELECT {values} FROM {source}")
            return f" {word} ".join(sides), (("a", "int"), ("b", "text"))
        source, columns = self.joined(depth)
        where = f" WHERE {self.condition(columns, depth + 1)}" if self.maybe(0.65) else ""
        return self.grouped(source, where, columns) if self.maybe(0.3) else self.flat(source, where, columns, depth)

    def flat(self, source: str, where: str, columns: Columns, depth: int) -> tuple[str, Columns]:
        """Return a query of expressions."""
        outputs: list[tuple[str, str]] = []
        texts: list[str] = []
        for _ in range(self.chance.randint(1, 4)):
            if self.maybe(0.12):
                kind, window = self.chance.choice(_WINDOWS)
                text = self.filled(window, columns, 1)
            else:
                kind = self.chance.choice(tuple(_CONSTANTS))
                text = self.value(kind, columns, depth + 1)
            name = self.name("c")
            outputs.append((name, kind))
            texts.append(f"{text} AS {name}")
        distinct = "DISTINCT " if self.maybe(0.15) else ""
        return f"SELECT {distinct}{', '.join(texts)} FROM {source}{where}", tuple(outputs)

    def grouped(self, source: str, where: str, columns: Columns) -> tuple[str, Columns]:
        """Return a query of groups."""
        keys = [
            (self.chance.choice(("int", "text", "date", "bool")), self.name("g"))
            for _ in range(self.chance.randint(1, 2))
        ]
        values = [self.value(kind, columns, 1) for kind, _ in keys]
        constant = any(value not in dict(columns) for value in values)
        how = self.chance.choice(
            ("positions", "names", "sets") if constant else ("positions", "names", "values", "sets")
        )
        listed = {
            "positions": ", ".join(str(i + 1) for i in range(len(keys))),
            "names": ", ".join(name for _, name in keys),
            "values": ", ".join(values),
            "sets": f"{self.chance.choice(('ROLLUP', 'CUBE'))} ({', '.join(str(i + 1) for i in range(len(keys)))})",
        }[how]
        if how == "sets":
            listed = listed if all("SELECT" not in value for value in values) else listed[listed.index("(") + 1 : -1]
        texts = [f"{value} AS {name}" for value, (_, name) in zip(values, keys, strict=True)]
        outputs = [(name, kind) for kind, name in keys]
        for _ in range(self.chance.randint(1, 3)):
            kind, template = self.chance.choice(_AGGREGATES)
            name = self.name("a")
            texts.append(f"{self.filled(template, columns, 1)} AS {name}")
            outputs.append((name, kind))
        having = f" HAVING count(*) > {self.chance.randrange(3)}" if self.maybe(0.3) else ""
        return f"SELECT {', '.join(texts)} FROM {source}{where} GROUP BY {listed}{having}", tuple(outputs)

    def query(self) -> Query:
        """Return a whole query."""
        self.ctes = []
        head = ""
        for _ in range(self.chance.choice((0, 0, 0, 1, 2))):
            name = self.name("cte")
            sql, columns = self.body(1)
            how = self.chance.choice(("AS", "AS MATERIALIZED", "AS NOT MATERIALIZED"))
            if self.maybe(0.3):
                names = tuple(f"x{i}" for i in range(len(columns)))
                columns = tuple((new, kind) for new, (_, kind) in zip(names, columns, strict=True))
                name_list = f" ({', '.join(names)})"
            else:
                name_list = ""
            head += f"{', ' if head else 'WITH '}{name}{name_list} {how} ({sql})"
            self.ctes.append((name, columns))
        sql, columns = self.body(2)
        ordered = all(kind in _ORDERED for _, kind in columns) and self.maybe(0.6)
        tail = ""
        if ordered:
            signs = ("", " DESC", " NULLS FIRST", " DESC NULLS LAST")
            tail = " ORDER BY " + ", ".join(f"{i + 1}{self.chance.choice(signs)}" for i in range(len(columns)))
            tail += self.chance.choice(
                ("", " LIMIT 7", " OFFSET 2", " FETCH FIRST 5 ROWS WITH TIES", " LIMIT 3 OFFSET 1")
            )
        return Query(f"{head} {sql}{tail}".strip(), (), ordered)


def _columns(text: str) -> Columns:
    found: list[tuple[str, str]] = []
    for each in text.split(","):
        name, _, kind = each.strip().rpartition(" ")
        found.append((name, kind))
    return tuple(found)


def _ending(columns: Sequence[tuple[str, str]], key: str) -> int:
    """How many of the columns have that name."""
    return sum(name.endswith(f".{key}") for name, _ in columns)


def queries(seed: int, count: int) -> Iterator[Query]:
    """Return so many queries; the same for the same seed."""
    maker = Maker(seed)
    for _ in range(count):
        yield maker.query()
