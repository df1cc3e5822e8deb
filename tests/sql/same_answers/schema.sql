CREATE SCHEMA desk;
CREATE SCHEMA sensors;
CREATE SCHEMA shop;

CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0);

CREATE TABLE shop.customers (
    customer_id integer PRIMARY KEY,
    name text NOT NULL,
    email varchar(80) UNIQUE,
    region char(2),
    tier smallint NOT NULL DEFAULT 1,
    born date,
    created_at timestamptz NOT NULL,
    balance numeric(12, 2) NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    profile jsonb NOT NULL DEFAULT '{}',
    mood shop.mood,
    referrer integer REFERENCES shop.customers,
    active boolean NOT NULL DEFAULT true
);
INSERT INTO shop.customers
SELECT i, (ARRAY['Ann', 'Bob', 'Cem', 'Dörte', 'Eve', 'Flo', 'Gus', 'Hei'])[1 + i % 8] || ' ' || chr(65 + i % 26),
    CASE WHEN i % 9 <> 0 THEN 'c' || i || '@' || (ARRAY['example.org', 'example.com', 'mail.test'])[1 + i % 3] END,
    (ARRAY['EU', 'US', 'AP', NULL])[1 + i % 4], 1 + i % 3, DATE '1960-01-01' + i * 301,
    TIMESTAMPTZ '2025-01-01 08:00+00' + i * INTERVAL '31 hours', round(i * 37.415 - 300, 2),
    (ARRAY['{}', '{vip}', '{vip,new}', '{"late payer",new}'])[1 + i % 4]::text[],
    jsonb_build_object('age', 20 + i, 'langs', jsonb_build_array('de', 'en', i), 'address',
        jsonb_build_object('city', (ARRAY['Köln', 'Rome', 'Oslo'])[1 + i % 3], 'zip', lpad((i * 733)::text, 5, '0'))),
    (ARRAY['sad', 'ok', 'happy', NULL])[1 + i % 4]::shop.mood, CASE WHEN i > 3 THEN i / 3 END, i % 7 <> 0
FROM generate_series(1, 30) AS i;

CREATE TABLE shop.products (
    product_id bigint PRIMARY KEY,
    sku text NOT NULL UNIQUE,
    title text NOT NULL,
    category text,
    price numeric(10, 2) NOT NULL,
    weight real,
    sold daterange,
    attributes jsonb,
    spec xml,
    search tsvector,
    stock shop.positive
);
INSERT INTO shop.products
SELECT i, 'SKU-' || lpad(i::text, 4, '0'), (ARRAY['Red lamp', 'Blue chair', 'Green desk', 'Fast bike'])[1 + i % 4] || ' ' || i,
    (ARRAY['home', 'office', 'sport', NULL])[1 + i % 4], 5 + i * 3.25, i * 1.5,
    daterange(DATE '2025-01-01' + i, DATE '2025-03-01' + i * 3),
    jsonb_build_object('color', (ARRAY['red', 'blue'])[1 + i % 2], 'sizes', jsonb_build_array(i, i + 1), 'n', i),
    NULL,
    to_tsvector('english', 'shiny red lamp number ' || i), i + 1
FROM generate_series(1, 20) AS i;

CREATE TABLE shop.orders (
    order_id bigint PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES shop.customers,
    placed timestamp NOT NULL,
    shipped date,
    status varchar(12) NOT NULL,
    total numeric(12, 2) NOT NULL,
    note text
);
INSERT INTO shop.orders
SELECT i, 1 + i * 7 % 28, TIMESTAMP '2025-01-03 09:30' + i * INTERVAL '17 hours',
    CASE WHEN i % 5 <> 0 THEN DATE '2025-01-06' + i END, (ARRAY['new', 'paid', 'shipped', 'lost'])[1 + i % 4], i * 11.5,
    CASE WHEN i % 3 = 0 THEN 'leave at door ' || i END
FROM generate_series(1, 60) AS i;

CREATE TABLE shop."Order Lines" (
    order_id bigint NOT NULL REFERENCES shop.orders,
    "lineNo" integer NOT NULL,
    product_id bigint NOT NULL REFERENCES shop.products,
    "select" integer NOT NULL,
    "Größe" text,
    "a""b" numeric,
    PRIMARY KEY (order_id, "lineNo")
);
INSERT INTO shop."Order Lines"
SELECT o, l, 1 + (o * l) % 20, 1 + l % 3, (ARRAY['S', 'M', 'L', NULL])[1 + (o + l) % 4], o * l / 10.0
FROM generate_series(1, 60) AS o, generate_series(1, 2) AS l;

CREATE TABLE shop."user" (id integer PRIMARY KEY, "order" integer, "Name" text, "table" text);
INSERT INTO shop."user" SELECT i, 10 - i, 'U' || i, repeat('x', i) FROM generate_series(1, 6) AS i;

CREATE VIEW shop.best AS SELECT customer_id, sum(total) AS spent FROM shop.orders GROUP BY customer_id;

CREATE TABLE desk.agents (agent_id integer PRIMARY KEY, name text NOT NULL, team_id integer, boss integer, hired date);
INSERT INTO desk.agents
SELECT i, 'Agent ' || chr(64 + i), 1 + i % 3, CASE WHEN i > 1 THEN i / 2 END, DATE '2020-02-01' + i * 40
FROM generate_series(1, 10) AS i;

CREATE TABLE desk.teams (team_id integer PRIMARY KEY, name text NOT NULL, parent integer, shift tsrange);
INSERT INTO desk.teams
SELECT i, 'Team ' || i, nullif(i / 2, 0), tsrange(TIMESTAMP '2025-01-01' + i * INTERVAL '6 hours', TIMESTAMP '2025-01-02' + i * INTERVAL '6 hours')
FROM generate_series(1, 5) AS i;

CREATE TABLE desk.tickets (
    ticket_id integer PRIMARY KEY,
    customer_id integer,
    agent_id integer REFERENCES desk.agents,
    subject text NOT NULL,
    body text,
    status text NOT NULL,
    priority integer NOT NULL,
    opened timestamptz NOT NULL,
    closed timestamptz,
    meta json,
    labels text[]
);
INSERT INTO desk.tickets
SELECT i, 1 + i % 30, CASE WHEN i % 6 <> 0 THEN 1 + i % 10 END, 'Problem with ' || (ARRAY['login', 'lamp', 'invoice'])[1 + i % 3],
    CASE WHEN i % 4 <> 0 THEN 'Dear all, my ' || i || ' is broken 100%' END, (ARRAY['open', 'pending', 'closed'])[1 + i % 3],
    1 + i % 5, TIMESTAMPTZ '2025-02-01 10:00+00' + i * INTERVAL '5 hours',
    CASE WHEN i % 3 = 2 THEN TIMESTAMPTZ '2025-02-03 10:00+00' + i * INTERVAL '7 hours' END,
    json_build_object('channel', (ARRAY['mail', 'web'])[1 + i % 2], 'hops', i, 'steps',
        json_build_array(json_build_object('at', i, 'who', 'a'), json_build_object('at', i + 1, 'who', 'b'))),
    (ARRAY['{a,b}', '{b}', NULL, '{}'])[1 + i % 4]::text[]
FROM generate_series(1, 45) AS i;

CREATE TABLE desk.messages (
    message_id uuid PRIMARY KEY, ticket_id integer REFERENCES desk.tickets, sent timestamptz, sender inet, body text, raw bytea
);
INSERT INTO desk.messages
SELECT md5(i::text)::uuid, 1 + i % 45, TIMESTAMPTZ '2025-02-01 12:00+00' + i * INTERVAL '50 minutes',
    ('10.0.' || i % 5 || '.' || i)::inet, 'message ' || i, decode(md5(i::text), 'hex')
FROM generate_series(1, 70) AS i;

CREATE TABLE sensors.devices (device_id text PRIMARY KEY, kind text, location point, settings jsonb, installed date, serial bigint);
INSERT INTO sensors.devices
SELECT 'dev' || i, (ARRAY['temp', 'hum'])[1 + i % 2], point(i, i * 2), jsonb_build_object('rate', i, 'on', i % 2 = 0),
    DATE '2024-05-01' + i, 9000000000 + i
FROM generate_series(1, 6) AS i;

CREATE TABLE sensors.readings (
    device_id text NOT NULL, at timestamptz NOT NULL, value double precision, quality integer, flags bit(4), PRIMARY KEY (device_id, at)
) PARTITION BY RANGE (at);
CREATE TABLE sensors.readings_1 PARTITION OF sensors.readings FOR VALUES FROM ('2025-01-01') TO ('2025-01-03');
CREATE TABLE sensors.readings_2 PARTITION OF sensors.readings FOR VALUES FROM ('2025-01-03') TO ('2026-01-01');
INSERT INTO sensors.readings
SELECT 'dev' || d, TIMESTAMPTZ '2025-01-01 00:00+00' + h * INTERVAL '3 hours', d * 10 + h % 7, h % 4, (h % 16)::bit(4)
FROM generate_series(1, 6) AS d, generate_series(0, 19) AS h WHERE (d + h) % 11 <> 0;

CREATE TABLE sensors.alarms (alarm_id serial PRIMARY KEY, device_id text, "from" timestamptz, "to" timestamptz, level smallint, period tstzrange);
INSERT INTO sensors.alarms (device_id, "from", "to", level, period)
SELECT 'dev' || 1 + i % 7, TIMESTAMPTZ '2025-01-01 06:00+00' + i * INTERVAL '4 hours', TIMESTAMPTZ '2025-01-01 09:00+00' + i * INTERVAL '4 hours',
    i % 3, tstzrange(TIMESTAMPTZ '2025-01-01 06:00+00' + i * INTERVAL '4 hours', TIMESTAMPTZ '2025-01-01 09:00+00' + i * INTERVAL '4 hours')
FROM generate_series(1, 12) AS i;
ANALYZE;
