-- What sqlsmith is let loose on: columns of most kinds of types; whatever the narrow agent must not see is a canary.
-- Text CANARY_…, numbers 7700000 to 7799999, moments in 1987.
CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy', 'CANARY_MOOD_HIDDEN');
CREATE DOMAIN public.posint AS int CHECK (value > 0);

CREATE TABLE public.people (
  person_id int PRIMARY KEY,
  name text NOT NULL,
  email varchar(200) NOT NULL UNIQUE,
  phone text,
  ssn text NOT NULL UNIQUE,
  salary numeric(12,2) NOT NULL,
  born timestamptz NOT NULL
);
INSERT INTO public.people VALUES
  (1, 'Ada', 'ada.CANARY_EMAIL_1@mail.example', '0455', 'CANARY_SSN_1', 7710001, '1987-01-01'),
  (2, 'Ben', 'ben.CANARY_EMAIL_2@mail.example', NULL, 'CANARY_SSN_2', 7710002, '1987-01-02');
INSERT INTO public.people
  SELECT 7700000 + g, 'CANARY_NAME_' || g, 'CANARY_EMAIL_H' || g, 'CANARY_PHONE_' || g, 'CANARY_SSN_H' || g, 7720000 + g,
         timestamptz '1987-02-01' + g * interval '1 hour'
  FROM generate_series(1, 40) AS g;

CREATE TABLE public.things (
  thing_id bigint PRIMARY KEY,
  person_id int REFERENCES public.people,
  small smallint, real4 real, real8 double precision, exact numeric, flag boolean, word text, fixed char(4), letter "char",
  named name, bytes bytea, bits bit varying(16), day date, clock time, stamp timestamp, stamptz timestamptz,
  span interval, doc json, docb jsonb, uid uuid, addr inet, net cidr, mac macaddr, price money, spot point, frame box,
  round circle, area polygon, numbers int[], words text[], days daterange, ints int4range, gaps int4multirange,
  lexemes tsvector, asked tsquery, feeling public.mood, amount public.posint, hidden text
);
INSERT INTO public.things
  SELECT g, 1 + g % 2, g, g / 3.0, g / 7.0, g * 1.1, g % 2 = 0, 'word ' || g, 'fix', 'x', 'n' || g, '\x0102', B'101',
         date '2026-01-01' + g, time '10:00' + g * interval '1 minute', timestamp '2026-01-01' + g * interval '1 day',
         timestamptz '2026-01-01 00:00+00' + g * interval '1 hour', g * interval '1 day', '{"a": 1}', '{"b": [1, 2]}',
         '00000000-0000-0000-0000-000000000000', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', 1.5, point(g, g),
         box(point(0, 0), point(g, g)), circle(point(0, 0), g), '((0,0),(1,1),(2,0))', ARRAY[g, 2], ARRAY['a', 'b'],
         daterange('2026-01-01', '2026-02-01'), int4range(g, g + 5), '{[1,2), [5,9)}', to_tsvector('english', 'big dog'),
         to_tsquery('english', 'dog'), 'ok', g, 'CANARY_HIDDEN_' || g
  FROM generate_series(1, 12) AS g;
INSERT INTO public.things
  SELECT 7700000 + g, 7700000 + g, 32000, 7700000 + g, 7700000 + g, 7700000 + g, true, 'CANARY_WORD_' || g, 'CANA', 'C',
         'CANARY_NAMED_' || g, 'CANARY_BYTES_1', B'1', date '1987-01-01' + g, '11:11', timestamp '1987-01-01',
         '1987-03-03', interval '7700001 hours', '{"x": "CANARY_JSON_1"}', '{"x": "CANARY_JSONB_1"}', gen_random_uuid(),
         '77.77.77.77', '77.0.0.0/8', '77:77:77:77:77:77', 7700001, point(7700001, 1), box(point(7700001, 0), point(1, 1)),
         circle(point(7700001, 0), 1), '((7700001,0),(1,1))', ARRAY[7700001], ARRAY['CANARY_ARRAY_1'],
         daterange('1987-01-01', '1987-02-01'), int4range(7700001, 7700009), '{[7700001,7700009)}',
         to_tsvector('simple', 'CANARY_LEXEME_1'), to_tsquery('simple', 'CANARY_QUERY_1'), 'CANARY_MOOD_HIDDEN', 7700001,
         'CANARY_HIDDEN_X' || g
  FROM generate_series(1, 40) AS g;

CREATE TABLE public.notes (
  note_id serial PRIMARY KEY,
  person_id int NOT NULL DEFAULT 1,
  title text NOT NULL DEFAULT 'untitled',
  stars int CHECK (stars < 7700000),
  secret text DEFAULT 'CANARY_DEFAULT_1'
);
INSERT INTO public.notes (person_id, title, stars, secret) VALUES
  (1, 'first', 1, 'CANARY_SECRET_1'), (1, 'second', 2, 'CANARY_SECRET_2'), (2, 'CANARY_TITLE_1', 3, 'CANARY_SECRET_3');

CREATE TABLE public.vault (id int PRIMARY KEY, content text NOT NULL);
INSERT INTO public.vault VALUES (7700001, 'CANARY_VAULT_1');
COMMENT ON TABLE public.people IS 'CANARY_COMMENT_1';
CREATE FUNCTION public.opened() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'CANARY_FUNCTION_1' $$;

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smith') THEN CREATE ROLE smith LOGIN PASSWORD 'smith'; END IF;
END $$;
GRANT USAGE ON SCHEMA public TO smith;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO smith;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO smith;
ANALYZE;
