-- Plain queries: expressions in every clause.

-- case constant: nothing read
SELECT 1 AS one, 'x' AS x, NULL AS nothing, true AS yes;
-- case arithmetic: numbers of several types
SELECT weight * 2, declared + 1, declared / 7, declared % 7, weight ^ 2 FROM parcels WHERE customer_id = 101;
-- case comparison-chain: several comparisons
SELECT parcel_id FROM parcels WHERE declared >= 40 AND declared <= 300 AND weight <> 1.1;
-- case between: BETWEEN and its negation
SELECT parcel_id FROM parcels WHERE declared BETWEEN 50 AND 250 OR weight NOT BETWEEN 1 AND 10;
-- case between-symmetric: bounds in either order
SELECT parcel_id FROM parcels WHERE declared BETWEEN SYMMETRIC 250 AND 50;
-- case in-list: a list
SELECT name FROM customers WHERE city IN ('York', 'Hull');
-- case not-in-list: its negation
SELECT name FROM customers WHERE city NOT IN ('York', 'Hull');
-- case any-array: ANY of an array
SELECT name FROM stations WHERE station_id = ANY ('{1,3,5}');
-- case all-array: ALL of an array
SELECT name FROM stations WHERE station_id > ALL (ARRAY[2, 3]);
-- case like: patterns
SELECT name FROM customers WHERE name LIKE '%e%' AND name NOT LIKE 'P%';
-- case ilike: without case
SELECT name FROM customers WHERE name ILIKE 'ADA%';
-- case like-escape: an escape character of one's own
SELECT 'a_b' LIKE 'a!_b' ESCAPE '!' AS same;
-- case similar: SQL's regular expressions
SELECT name FROM stations WHERE name SIMILAR TO '(Hub|M%)';
-- case regex: POSIX regular expressions
SELECT name FROM stations WHERE name ~ '^[HM]' AND name !~* 'ILL$';
-- case starts-with: an operator that is leakproof
SELECT name FROM stations WHERE name ^@ 'No';
-- case is-null: tests for NULL
SELECT name FROM customers WHERE tags IS NULL AND born IS NULL;
-- case is-true: tests for truth
SELECT parcel_id, fragile IS TRUE, fragile IS NOT TRUE, fragile IS UNKNOWN FROM parcels;
-- case boolean: logic of three values
SELECT parcel_id, fragile AND declared > 100, fragile OR declared > 100, NOT fragile FROM parcels;
-- case case-simple: CASE with an operand
SELECT parcel_id, CASE state WHEN 'lost' THEN 'gone' WHEN 'held' THEN 'waits' ELSE state::text END FROM parcels;
-- case case-searched: CASE with conditions
SELECT CASE WHEN declared > 200 THEN 'dear' WHEN declared IS NULL THEN '?' ELSE 'cheap' END, count(*) FROM parcels GROUP BY 1;
-- case coalesce: the first that is there
SELECT customer_id, coalesce(email, name, '-') FROM customers;
-- case nullif: NULL by equality
SELECT nullif(city, 'York') FROM customers;
-- case greatest: the greatest and the least
SELECT greatest(declared, 100), least(weight, 2) FROM parcels WHERE customer_id = 101;
-- case concat-operator: text put together
SELECT name || ' of ' || city FROM customers;
-- case cast-standard: CAST
SELECT CAST(declared AS text), CAST(weight AS int) FROM parcels WHERE parcel_id = 1001;
-- case cast-postgres: the short form
SELECT '2026-01-01'::date + 1, '12'::int, 1.5::numeric(4,2)::text;
-- case cast-enum: an enum as text and back
SELECT parcel_id FROM parcels WHERE state::text = 'held' AND state = 'held'::public.parcel_state;
-- case enum-order [ordered]: an enum sorts by its declaration
SELECT parcel_id, state FROM parcels WHERE customer_id = 101 ORDER BY state, parcel_id;
-- case collate: a collation
SELECT name FROM stations WHERE name < 'Mill' COLLATE "C";
-- case order-by-number [ordered]: by position
SELECT name, city FROM stations ORDER BY 2, 1;
-- case order-by-output [ordered]: by an output name
SELECT customer_id AS k, name FROM customers ORDER BY k DESC;
-- case order-by-expression [ordered]: by an expression
SELECT name FROM stations ORDER BY length(name), name;
-- case order-nulls [ordered]: where NULL goes
SELECT parcel_id, declared FROM parcels ORDER BY declared DESC NULLS LAST, parcel_id;
-- case order-using [ordered]: by an operator
SELECT station_id FROM stations ORDER BY station_id USING >;
-- case limit-offset [ordered]: a page
SELECT name FROM stations ORDER BY name LIMIT 2 OFFSET 1;
-- case fetch-ties [ordered]: a page with its ties
SELECT city FROM stations ORDER BY city FETCH FIRST 1 ROWS WITH TIES;
-- case limit-all [ordered]: no limit said aloud
SELECT name FROM stations ORDER BY 1 LIMIT ALL;
-- case limit-expression [ordered]: a limit that is computed
SELECT name FROM stations ORDER BY 1 LIMIT 1 + 1;
-- case distinct: no row twice
SELECT DISTINCT city FROM stations;
-- case distinct-on [ordered]: the first of each
SELECT DISTINCT ON (city) city, name FROM stations ORDER BY city, opened DESC;
-- case values: a list of rows
VALUES (1, 'a'), (2, 'b');
-- case values-from: joined to a table
SELECT v.n, s.name FROM (VALUES (1), (2)) v(n) JOIN stations s ON s.station_id = v.n;
-- case row-compare: rows compared by their parts
SELECT name FROM stations WHERE (city, station_id) > ('Hull', 1);
-- case row-in: rows in a list
SELECT price FROM tariffs WHERE (zone, upto) IN (('home', 1), ('far', 5));
-- case array-literal: arrays and their parts
SELECT dims[1], dims[2:3], array_length(dims, 1), dims || 5 FROM parcels WHERE parcel_id = 1001;
-- case array-operators: arrays compared
SELECT parcel_id FROM parcels WHERE dims @> '{20}' AND NOT dims && '{60}';
-- case array-unnest: an array as rows
SELECT parcel_id, d FROM parcels, unnest(dims) AS d WHERE parcel_id = 1003;
-- case array-ordinality: with their places
SELECT d, n FROM parcels, unnest(dims) WITH ORDINALITY AS u(d, n) WHERE parcel_id = 1001;
-- case array-subquery: an array of a query's rows
SELECT ARRAY(SELECT name FROM stations ORDER BY 1);
-- case tags: an array of words
SELECT name FROM customers WHERE 'gold' = ANY (tags);
-- case tags-overlap: by overlap
SELECT name FROM customers WHERE tags && ARRAY['gold', 'silver'];
-- case jsonb-arrow: parts of a document
SELECT contents -> 'kind', contents ->> 'kind', contents #>> '{parts,0}' FROM parcels WHERE customer_id = 101;
-- case jsonb-contains: containment
SELECT parcel_id FROM parcels WHERE contents @> '{"kind": "book"}';
-- case jsonb-exists: a key
SELECT parcel_id FROM parcels WHERE contents ? 'parts';
-- case jsonb-subscript: by subscript
SELECT prefs['lang'] FROM customers WHERE customer_id = 101;
-- case jsonb-path: by path
SELECT jsonb_path_query(contents, '$.parts[*]') FROM parcels WHERE parcel_id = 1003;
-- case jsonb-each: as rows
SELECT k, v FROM customers, jsonb_each_text(prefs) AS e(k, v) WHERE customer_id = 101;
-- case jsonb-recordset: as typed rows
SELECT * FROM jsonb_to_recordset('[{"a": 1, "b": "x"}, {"a": 2}]') AS t(a int, b text);
-- case range-contains: ranges
SELECT parcel_id FROM parcels WHERE route @> 4;
-- case range-overlap: overlap and intersection
SELECT parcel_id, route * '[2,4)' FROM parcels WHERE route && '[2,4)';
-- case range-bounds: their ends
SELECT zone, lower(valid), upper(valid), upper_inf(valid) FROM tariffs;
-- case daterange-valid: what holds on a day
SELECT zone, upto, price FROM tariffs WHERE valid @> date '2026-06-01';
-- case date-arithmetic: days
SELECT parcel_id, booked + 7, booked - date '2026-01-01' FROM parcels WHERE customer_id = 101;
-- case date-extract: parts of dates
SELECT extract(month FROM booked), date_part('dow', booked) FROM parcels WHERE customer_id = 101;
-- case date-trunc: cut moments
SELECT date_trunc('month', delivered) FROM parcels WHERE delivered IS NOT NULL;
-- case date-compare-types: a date against a moment
SELECT parcel_id FROM parcels WHERE delivered > date '2026-07-01';
-- case date-overlaps: OVERLAPS
SELECT (date '2026-01-01', date '2026-02-01') OVERLAPS (date '2026-01-20', interval '3 days') AS o;
-- case interval: intervals
SELECT justify_hours(interval '30 hours'), interval '1 day' * 3, age(date '2026-03-01', date '2026-01-31');
-- case at-time-zone: moments in another zone
SELECT delivered AT TIME ZONE 'Europe/Berlin' FROM parcels WHERE parcel_id = 1002;
-- case to-char: moments as text
SELECT to_char(delivered, 'YYYY-MM-DD HH24:MI') FROM parcels WHERE parcel_id = 1002;
-- case current-date: the server's clock
SELECT current_date = now()::date AS same, localtimestamp IS NOT NULL AS there;
-- case text-functions: text
SELECT upper(name), lower(name), initcap(lower(name)), length(name), reverse(name), left(name, 2), right(name, 2) FROM stations;
-- case text-substring: SQL's forms
SELECT substring(name FROM 2 FOR 2), position('u' IN name), overlay(name PLACING 'x' FROM 1), trim(BOTH 'H' FROM name) FROM stations;
-- case text-split: split and replaced
SELECT split_part(name, ' ', 1), replace(name, 'a', 'o'), string_to_array(name, ' ') FROM customers WHERE customer_id < 105;
-- case text-regexp: by pattern
SELECT regexp_replace(name, '[aeiou]', '*', 'g'), regexp_match(name, '(.)o') FROM stations;
-- case text-format: by a format
SELECT format('%s-%s', zone, upto) FROM tariffs;
-- case text-pad: padded
SELECT lpad(station_id::text, 3, '0'), rpad(name, 6, '.') FROM stations;
-- case text-hash: hashes of what is shown
SELECT md5(name), encode(sha256(name::bytea), 'hex') FROM stations;
-- case full-text: full text search
SELECT name FROM stations WHERE to_tsvector('english', name || ' ' || city) @@ plainto_tsquery('english', 'mill');
-- case full-text-rank: ranked
SELECT complaint_id, ts_rank(to_tsvector('english', subject), to_tsquery('english', 'lost | held')) > 0 FROM complaints;
-- case math: numbers
SELECT round(weight), ceil(weight), floor(weight), abs(-weight), sqrt(weight)::numeric(8,4), trunc(weight, 1) FROM parcels WHERE customer_id = 101;
-- case width-bucket: a histogram
SELECT width_bucket(declared, 0, 1000, 4) AS b, count(*) FROM parcels GROUP BY 1;
-- case series: a series of numbers
SELECT n FROM generate_series(1, 5, 2) AS n;
-- case series-dates: a series of days joined to facts
SELECT d::date, count(m.movement_id) FROM generate_series('2026-01-01'::timestamp, '2026-03-01', '1 month') d
  LEFT JOIN movements m ON m.day >= d AND m.day < d + interval '1 month' GROUP BY 1;
-- case geometry: points
SELECT name, spot <-> point '(0,0)' AS far FROM stations WHERE spot <@ box '((0,0),(5,5))';
-- case xml [xml]: XML put together
SELECT xmlelement(name station, xmlattributes(station_id AS id), name) FROM stations WHERE station_id = 1;
-- case xpath [xml]: XML taken apart
SELECT invoice_id, xpath('/lines/line/text()', lines::xml)::text FROM invoices WHERE lines IS NOT NULL;
-- case xmlforest [xml]: several elements
SELECT xmlforest(name, city) FROM stations WHERE station_id < 3;
-- case xmlagg [xml]: elements gathered
SELECT xmlagg(xmlelement(name n, name) ORDER BY name) FROM stations;
-- case json-build: JSON put together
SELECT json_build_object('id', parcel_id, 'state', state) FROM parcels;
-- case json-object-agg: gathered into an object
SELECT jsonb_object_agg(station_id, name) FROM stations;
-- case json-array-constructor [since 16]: SQL's own constructors
SELECT JSON_ARRAY(station_id, name), JSON_OBJECT('n': name) FROM stations;
-- case json-arrayagg [since 16]: SQL's own aggregates
SELECT JSON_ARRAYAGG(name ORDER BY name), JSON_OBJECTAGG(name: city) FROM stations;
-- case is-json [since 16]: a predicate
SELECT '{"a": 1}' IS JSON OBJECT AS o, 'x' IS JSON AS j;
-- case json-value [since 17]: SQL's own query functions
SELECT JSON_VALUE(contents, '$.count' RETURNING int), JSON_QUERY(contents, '$.parts'), JSON_EXISTS(contents, '$.parts') FROM parcels WHERE customer_id = 101;
-- case json-table [since 17]: a document as a table
SELECT p.parcel_id, t.* FROM parcels p, JSON_TABLE(p.contents, '$' COLUMNS (kind text PATH '$.kind', n int PATH '$.count')) t;
-- case json-table-nested [since 17]: with nested rows
SELECT t.* FROM parcels p, JSON_TABLE(p.contents, '$' COLUMNS (kind text PATH '$.kind', NESTED PATH '$.parts[*]' COLUMNS (part text PATH '$'))) t WHERE p.parcel_id = 1003;
-- case xml-table [xml]: XML as a table
SELECT i.invoice_id, t.n, t.what FROM invoices i, XMLTABLE('/lines/line' PASSING (i.lines::xml) COLUMNS n int PATH '@n', what text PATH '.') t;
-- case xml-table-default [xml]: with defaults and places
SELECT t.* FROM invoices i, XMLTABLE('/lines/line' PASSING (i.lines::xml) COLUMNS place FOR ORDINALITY, x text PATH '@x' DEFAULT 'none') t WHERE i.invoice_id = 601;
-- case rows-from: functions side by side
SELECT * FROM ROWS FROM (generate_series(1, 3), generate_series(1, 2)) AS t(a, b);
-- case tablesample-all [rewrite]: a sample of everything
SELECT name FROM stations TABLESAMPLE BERNOULLI (100);
-- case tablesample-system [rewrite]: by pages, repeatable
SELECT count(*) FROM stations TABLESAMPLE SYSTEM (100) REPEATABLE (1);
-- case tablesample-filtered [rewrite]: a sample of a table that is filtered
SELECT name FROM customers TABLESAMPLE BERNOULLI (100);
-- case comments: comments of both kinds
SELECT /* here */ name -- and there
FROM stations WHERE station_id = 1;
-- case unicode: text and names beyond ASCII
SELECT 'grün' AS "Größe", U&'\0041' AS a;
-- case dollar-quotes: dollar quotes
SELECT $$it's$$ AS a, $x$a$$b$x$ AS b;
-- case bit-strings: bits and bytes
SELECT B'101' | B'010', '\x41'::bytea, encode('\x4142', 'base64');
-- case network: addresses
SELECT inet '10.0.0.5' << inet '10.0.0.0/8' AS inside, host(inet '10.0.0.5/8');
-- case uuid: uuids
SELECT '00000000-0000-0000-0000-000000000001'::uuid < '00000000-0000-0000-0000-000000000002'::uuid AS lt;
-- case grouping-parens: parentheses
SELECT ((name)) FROM (stations CROSS JOIN tariffs) WHERE ((station_id) = (1));
-- case bool-cast: text as a truth value
SELECT 'yes'::boolean, 't'::bool AND NOT 'off'::bool;
-- case for-share: rows locked for reading what may be updated
SELECT complaint_id FROM complaints WHERE complaint_id = 501 FOR SHARE;
-- case for-update: rows locked for an update
SELECT complaint_id FROM complaints WHERE state = 'open' FOR UPDATE;
-- case for-update-of: of one table by its alias
SELECT c.complaint_id FROM complaints c JOIN stations s ON s.station_id = 1 FOR UPDATE OF c NOWAIT;
-- case for-update-skip: passing over what is locked
SELECT complaint_id FROM complaints ORDER BY 1 LIMIT 1 FOR UPDATE SKIP LOCKED;
-- case for-no-key: the weaker lock
SELECT complaint_id FROM complaints FOR NO KEY UPDATE;
