-- Relations that the policy does not have, by every way to name one; and calls that do not look like calls.

-- case relation-hidden: a table out of the policy
SELECT * FROM depot_keys;
-- case relation-qualified: by its schema
SELECT * FROM public.depot_keys;
-- case relation-other-schema: in another schema
SELECT * FROM hr.payroll;
-- case relation-view: a view over everything
SELECT * FROM every_customer;
-- case relation-view-qualified: by its schema
SELECT * FROM public.every_customer;
-- case relation-matview: a materialised copy
SELECT * FROM customer_summary;
-- case relation-author: the table of the author's sub-query
SELECT * FROM assignments;
-- case relation-partition: a partition by its name
SELECT * FROM movements_2026;
-- case relation-partition-qualified: by its schema
SELECT * FROM public.movements_rest;
-- case relation-child: a child by its name
SELECT * FROM trucks;
-- case relation-sequence: a sequence as a table
SELECT * FROM public.tracking;
-- case relation-serial: the sequence of a granted table
SELECT last_value FROM public.complaints_complaint_id_seq;
-- case relation-index: an index as a table
SELECT * FROM customers_city;
-- case relation-toast: a TOAST table
SELECT * FROM pg_toast.pg_toast_1255;
-- case relation-other-database: a name of three parts
SELECT * FROM freight.public.depot_keys;
-- case relation-table-command: TABLE
TABLE depot_keys;
-- case relation-count: only counted
SELECT count(*) FROM depot_keys;
-- case relation-no-columns: without columns
SELECT FROM depot_keys;
-- case relation-join: joined
SELECT s.name FROM stations s JOIN depot_keys k ON true;
-- case relation-sub: in a sub-query
SELECT name FROM stations WHERE station_id IN (SELECT depot FROM depot_keys);
-- case relation-exists: in EXISTS
SELECT name FROM stations WHERE EXISTS (SELECT FROM depot_keys);
-- case relation-scalar: as a scalar
SELECT (SELECT secret FROM depot_keys LIMIT 1);
-- case relation-lateral: in LATERAL
SELECT k.* FROM stations s, LATERAL (SELECT * FROM depot_keys WHERE depot = s.station_id) k;
-- case relation-order: in ORDER BY
SELECT name FROM stations ORDER BY (SELECT secret FROM depot_keys LIMIT 1);
-- case relation-limit: in LIMIT
SELECT name FROM stations LIMIT (SELECT depot FROM depot_keys LIMIT 1);
-- case relation-offset: in OFFSET
SELECT name FROM stations OFFSET (SELECT depot FROM depot_keys LIMIT 1);
-- case relation-window: in a window's order
SELECT rank() OVER (ORDER BY (SELECT secret FROM depot_keys LIMIT 1)) FROM stations;
-- case relation-window-unused: in a window that nobody uses
SELECT name FROM stations WINDOW w AS (ORDER BY (SELECT secret FROM depot_keys LIMIT 1));
-- case relation-filter: in FILTER
SELECT count(*) FILTER (WHERE EXISTS (SELECT FROM depot_keys)) FROM stations;
-- case relation-values: in VALUES
VALUES ((SELECT secret FROM depot_keys LIMIT 1));
-- case relation-union: in a union
SELECT name FROM stations UNION SELECT secret FROM depot_keys;
-- case relation-cte: in a CTE
WITH q AS (SELECT * FROM depot_keys) SELECT * FROM q;
-- case relation-cte-unused: in one that nobody reads
WITH q AS (SELECT * FROM depot_keys) SELECT 1;
-- case relation-cte-self: a CTE that reads its namesake
WITH depot_keys AS (SELECT * FROM depot_keys) SELECT * FROM depot_keys;
-- case relation-cte-forward: a name before its CTE
WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a;
-- case relation-cte-scope: a CTE's name beyond its query
SELECT (WITH depot_keys AS (SELECT 1) SELECT 1), (SELECT count(*) FROM depot_keys);
-- case relation-cte-qualified: a qualified name is not the CTE
WITH depot_keys AS (SELECT 1 AS secret) SELECT secret FROM public.depot_keys;
-- case relation-function-argument: as an argument of a function in FROM
SELECT * FROM generate_series(1, (SELECT max(depot) FROM depot_keys));
-- case relation-rows-from: in ROWS FROM
SELECT * FROM ROWS FROM (generate_series(1, (SELECT max(depot) FROM depot_keys)), generate_series(1, 2)) t;
-- case relation-array: in ARRAY
SELECT ARRAY(SELECT secret FROM depot_keys);
-- case relation-row-compare: in a comparison of rows
SELECT name FROM stations WHERE (station_id, name) = (SELECT depot, secret FROM depot_keys LIMIT 1);
-- case relation-any: in ANY
SELECT name FROM stations WHERE name = ANY (SELECT secret FROM depot_keys);
-- case relation-group: in GROUP BY
SELECT count(*) FROM stations GROUP BY (SELECT max(secret) FROM depot_keys);
-- case relation-distinct-on: in DISTINCT ON
SELECT DISTINCT ON ((SELECT max(secret) FROM depot_keys)) name FROM stations;
-- case relation-on: in a join's condition
SELECT a.name FROM stations a JOIN stations b ON EXISTS (SELECT FROM depot_keys);
-- case relation-tablesample: in a sample's argument
SELECT * FROM stations TABLESAMPLE BERNOULLI ((SELECT max(depot) FROM depot_keys));
-- case relation-only: with ONLY
SELECT * FROM ONLY depot_keys;
-- case relation-for-update: locked
SELECT 1 FROM depot_keys FOR UPDATE;
-- case relation-copy: copied
COPY depot_keys TO STDOUT;
-- case relation-copy-query: as a query
COPY (SELECT * FROM depot_keys) TO STDOUT;
-- case relation-update: written
UPDATE depot_keys SET secret = 'x';
-- case relation-insert: filled
INSERT INTO assignments VALUES ('clerk', 102);
-- case relation-delete: emptied
DELETE FROM depot_keys;
-- case relation-update-from: read by a write
UPDATE complaints SET answer = k.secret FROM depot_keys k WHERE complaint_id = 501;
-- case relation-delete-using: by a delete
DELETE FROM labels USING depot_keys k WHERE labels.depot = k.depot;
-- case relation-insert-select: by an insert
INSERT INTO complaints (customer_id, subject) SELECT 101, secret FROM depot_keys;
-- case relation-returning: in RETURNING
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501 RETURNING (SELECT max(secret) FROM depot_keys);
-- case relation-set-sub: in SET
UPDATE complaints SET answer = (SELECT max(secret) FROM depot_keys);
-- case relation-default: in an insert's value
INSERT INTO complaints (customer_id, subject) VALUES (101, (SELECT max(secret) FROM depot_keys));
-- case relation-json-table [since 17]: as a document
SELECT * FROM JSON_TABLE((SELECT json_agg(k) FROM depot_keys k)::jsonb, '$[*]' COLUMNS (s text PATH '$.secret')) t;
-- case relation-type [gateway]: a hidden table's row type
SELECT NULL::public.depot_keys;
-- case relation-type-column [gateway]: a column list of a hidden table's type
SELECT * FROM jsonb_to_recordset('[]') AS t(k public.depot_keys);
-- case relation-type-populate [gateway]: filled from JSON
SELECT * FROM jsonb_populate_record(NULL::public.depot_keys, '{}');
-- case relation-regclass [not natively]: its number
SELECT 'public.depot_keys'::regclass::oid = 0;
-- case call-hidden: a function that reads everything
SELECT reveal(102);
-- case call-qualified: by its schema
SELECT public.reveal(102);
-- case call-in-from: in FROM
SELECT * FROM public.run('SELECT vat_id FROM public.customers');
-- case call-rows-from: in ROWS FROM
SELECT * FROM ROWS FROM (public.run('SELECT 1'), generate_series(1, 2)) t;
-- case call-dotted: a function by a dot after a value
SELECT (102).reveal;
-- case call-dotted-column: after a column
SELECT (customer_id).reveal FROM customers;
-- case call-dotted-row: after a row
SELECT c.shout FROM customers c;
-- case call-dotted-table: after a table's name
SELECT customers.shout FROM customers;
-- case call-dotted-parens: after a row in parentheses
SELECT (c).shout FROM customers c;
-- case call-dotted-sub: after a sub-query
SELECT (SELECT 102).reveal;
-- case call-dotted-array: after an element
SELECT (ARRAY[102])[1].reveal;
-- case call-dotted-built-in: a function of the system by a dot
SELECT ('postgresql.conf'::text).pg_read_file;
-- case call-row-argument: a row as its argument
SELECT public.shout(c) FROM customers c;
-- case call-aggregate: an aggregate of somebody else
SELECT public.pile(name) FROM customers;
-- case call-operator: an operator of somebody else
SELECT name FROM customers WHERE name OPERATOR(public.<~>) 'x';
-- case call-operator-bare: without its schema
SELECT name FROM customers WHERE name <~> 'x';
-- case call-peek: a function that is cheap and talks
SELECT name FROM customers WHERE public.peek(name);
-- case call-in-where: in a condition
SELECT name FROM customers WHERE reveal(customer_id) LIKE 'C%';
-- case call-in-order: in ORDER BY
SELECT name FROM customers ORDER BY public.reveal(customer_id);
-- case call-in-set: in a write
UPDATE complaints SET answer = public.reveal(102) WHERE complaint_id = 501;
-- case call-in-returning: in RETURNING
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501 RETURNING public.reveal(102);
-- case call-in-default: in VALUES
INSERT INTO complaints (customer_id, subject) VALUES (101, public.reveal(102));
-- case call-procedure: a procedure
CALL public.wipe();
-- case call-nextval: a sequence
SELECT nextval('public.tracking');
-- case call-currval: of another
SELECT setval('public.tracking', 1);
