"""People whose pay may only be aggregated: data, policy, and what a group may be told of, computed by ourselves."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import LiteralString, cast

import psycopg

from tests.support.gateway import Credentials, RunningGateway, running_gateway
from tests.support.postgres import Database, Server

SMALLEST = 10
MOST = 12
CANARY = 770_077_007

SCRIPT = f"""
CREATE ROLE agg LOGIN PASSWORD 'agg';
CREATE TYPE level AS ENUM ('junior', 'senior', 'lead');
CREATE TABLE public.people (
  person_id integer PRIMARY KEY, tenant_id integer NOT NULL, name text NOT NULL, region text NOT NULL,
  team text NOT NULL, level level NOT NULL, hired date NOT NULL, seen timestamptz NOT NULL, active boolean NOT NULL,
  salary integer NOT NULL, bonus numeric(9,2), secret text NOT NULL DEFAULT 'BWCANARY_secret');
INSERT INTO people SELECT i, 1, 'person ' || i,
  CASE WHEN i <= 4 THEN 'moon' ELSE (ARRAY['north','south','east'])[1 + i % 3] END,
  (ARRAY['red','green','blue','grey'])[1 + (i / 3) % 4], (ARRAY['junior','senior','lead'])[1 + (i / 12) % 3]::level,
  DATE '2025-01-01' + (i * 7) % 360, TIMESTAMPTZ '2026-01-01 00:30+00' + (i % 50) * INTERVAL '1 hour', i % 5 > 0,
  30000 + (i * 7919) % 4000, CASE WHEN i % 3 = 0 THEN NULL ELSE (i * 31) % 900 END
FROM generate_series(1, 720) i;
INSERT INTO people SELECT i, 2, 'BWCANARY_other', 'north', 'red', 'lead', '2025-06-01', '2026-01-01', true, {CANARY}, 1
FROM generate_series(1001, 1040) i;
CREATE TABLE public.regions (region text PRIMARY KEY, label text NOT NULL, tenant_id integer NOT NULL);
INSERT INTO regions SELECT r, upper(r), 1 FROM unnest(ARRAY['north','south','east','moon']) r;
GRANT SELECT, INSERT, UPDATE, DELETE ON people, regions TO agg;
"""
FIELDS = "person_id, region, team, level, hired, seen, active, salary, bonus"
POLICY = f"""
bailiwick: 1
mounts:
  hr:
    kind: postgres
    url: ${{HR_URL}}
    resources:
      people: {{table: public.people, key: person_id, tenant: tenant_id, labels: {{secret: restricted}}}}
      regions: {{table: public.regions, key: region, tenant: tenant_id}}
roles:
  analyst:
    grants:
      - id: figures
        allow: people:read
        reason: looks at pay, at nobody's
        fields: [{FIELDS}]
        aggregate: {{min_group: {SMALLEST}, groupings: {MOST}}}
      - {{allow: regions:read, reason: labels}}
agents:
  analyst: {{owner: people team, purpose: reports, roles: [analyst]}}
"""


class Office:
    """A gateway before the people, and its database."""

    def __init__(self, gateway: RunningGateway, upstream: Database) -> None:
        self.gateway = gateway
        self.upstream = upstream

    def session(self) -> Credentials:
        """Open a session that was told nothing yet."""
        return self.gateway.open_session("analyst", tenant="1")

    @contextmanager
    def connected(self, session: Credentials | None = None) -> Generator[psycopg.Connection[tuple[object, ...]]]:
        """Connect as the analyst, in a session of its own unless one is given."""
        with psycopg.connect((session or self.session()).url(), autocommit=True) as connection:
            yield connection

    def ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Ask one thing in a session of its own."""
        with self.connected() as connection:
            return connection.execute(cast(LiteralString, sql), values or None).fetchall()

    def truth(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database itself; the tenant's rows are `mine`."""
        made = f"WITH mine AS (SELECT * FROM people WHERE tenant_id = 1) {sql}"  # the tests' own text
        return self.upstream.rows(made)


@contextmanager
def an_office(postgres: Server) -> Generator[Office]:
    """Run a gateway before the people."""
    upstream = postgres.create(SCRIPT)
    with running_gateway(POLICY, {"HR_URL": upstream.url("agg", "agg")}) as gateway:
        yield Office(gateway, upstream)
