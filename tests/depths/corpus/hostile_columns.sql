-- Hidden columns, in every place that an expression can stand. `vat_id` and `risk` of customers, `customs_code` of
-- parcels, `device_key` of scans, `internal` of complaints, `declared` of city_totals, `axle_secret` of trucks.

-- case column-select: named
SELECT vat_id FROM customers;
-- case column-qualified: by the table
SELECT customers.vat_id FROM customers;
-- case column-alias: by an alias
SELECT c.vat_id FROM customers c;
-- case column-quoted: quoted
SELECT "vat_id" FROM customers;
-- case column-escaped: by Unicode escapes
SELECT U&"vat\005Fid" FROM customers;
-- case column-upper: in capitals
SELECT VAT_ID FROM CUSTOMERS;
-- case column-where: in WHERE
SELECT name FROM customers WHERE vat_id = 'CANARY_VAT' || '_101';
-- case column-where-like: one character after the other
SELECT 'LEAK' || 'BIT' FROM customers WHERE vat_id LIKE 'C%';
-- case column-where-in: in a list
SELECT name FROM customers WHERE risk IN (1, 2);
-- case column-where-sub: in a sub-query's WHERE
SELECT name FROM customers c WHERE EXISTS (SELECT 1 WHERE c.vat_id IS NOT NULL);
-- case column-order: in ORDER BY
SELECT name FROM customers ORDER BY risk;
-- case column-order-expression: in an expression of it
SELECT name FROM customers ORDER BY length(vat_id);
-- case column-group: in GROUP BY
SELECT count(*) FROM customers GROUP BY vat_id;
-- case column-having: in HAVING
SELECT city FROM customers GROUP BY city HAVING max(risk) > 1;
-- case column-grouping-set: in a grouping set
SELECT count(*) FROM customers GROUP BY GROUPING SETS ((vat_id), ());
-- case column-distinct-on: in DISTINCT ON
SELECT DISTINCT ON (vat_id) name FROM customers;
-- case column-aggregate: in an aggregate
SELECT max(vat_id) FROM customers;
-- case column-aggregate-order: in its order
SELECT string_agg(name, ',' ORDER BY risk) FROM customers;
-- case column-aggregate-filter: in its filter
SELECT count(*) FILTER (WHERE risk > 7 * 1000000) FROM customers;
-- case column-within-group: in an ordered set
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY risk) FROM customers;
-- case column-window: in a window
SELECT rank() OVER (ORDER BY risk) FROM customers;
-- case column-window-named: in a named one
SELECT count(*) OVER w FROM customers WINDOW w AS (PARTITION BY vat_id);
-- case column-case: in CASE
SELECT CASE WHEN vat_id LIKE 'C%' THEN 1 END FROM customers;
-- case column-coalesce: in COALESCE
SELECT coalesce(vat_id, name) FROM customers;
-- case column-function: as an argument
SELECT md5(vat_id) FROM customers;
-- case column-cast: cast
SELECT risk::text FROM customers;
-- case column-concat: put together
SELECT name || vat_id FROM customers;
-- case column-array: in an array
SELECT ARRAY[name, vat_id] FROM customers;
-- case column-row: in a row
SELECT ROW(name, vat_id) FROM customers;
-- case column-row-compare: in a comparison of rows
SELECT name FROM customers WHERE (name, risk) > ('A', 0);
-- case column-json: in a JSON object
SELECT json_build_object('v', vat_id) FROM customers;
-- case column-json-constructor [since 16]: in SQL's own
SELECT JSON_OBJECT('v': vat_id) FROM customers;
-- case column-xml: in XML
SELECT xmlelement(name v, vat_id) FROM customers;
-- case column-xml-attributes: in its attributes
SELECT xmlelement(name v, xmlattributes(vat_id AS v)) FROM customers;
-- case column-lateral: through LATERAL
SELECT x.v FROM customers c CROSS JOIN LATERAL (SELECT c.vat_id) x(v);
-- case column-lateral-function: through a function in FROM
SELECT u FROM customers c, unnest(ARRAY[c.vat_id]) u;
-- case column-lateral-values: through VALUES
SELECT v.x FROM customers c CROSS JOIN LATERAL (VALUES (c.vat_id)) v(x);
-- case column-join-on: in a join's condition
SELECT c.name FROM customers c JOIN customers d ON c.vat_id = d.vat_id;
-- case column-join-using: merged
SELECT a.name FROM customers a JOIN customers b USING (vat_id);
-- case column-join-using-guess: merged with a guess
SELECT name FROM customers JOIN (SELECT 'CANARY_VAT' || '_101' AS vat_id) g USING (vat_id);
-- case column-natural-guess [contained]: NATURAL does not merge what is hidden
SELECT count(*) FROM customers NATURAL JOIN (SELECT 'nothing' AS vat_id) g;
-- case column-cte: inside a CTE
WITH q AS (SELECT vat_id FROM customers) SELECT * FROM q;
-- case column-cte-star: out of a CTE with a star
WITH q AS (SELECT * FROM customers) SELECT vat_id FROM q;
-- case column-sub-star: out of a sub-query with a star
SELECT vat_id FROM (SELECT * FROM customers) q;
-- case column-union: on one side of a union
SELECT name FROM customers UNION SELECT vat_id FROM customers;
-- case column-union-second: renamed by the first side
SELECT name FROM stations UNION ALL SELECT internal FROM complaints;
-- case column-except: by what is left
SELECT 'CANARY_VAT' || '_101' EXCEPT SELECT vat_id FROM customers;
-- case column-recursive: in a recursive CTE
WITH RECURSIVE t(n, v) AS (SELECT 1, '' UNION ALL SELECT n + 1, (SELECT max(vat_id) FROM customers) FROM t WHERE n < 2) SELECT v FROM t;
-- case column-scalar: as a scalar sub-query
SELECT (SELECT vat_id FROM customers LIMIT 1);
-- case column-exists-correlated: correlated
SELECT name FROM stations s WHERE EXISTS (SELECT FROM customers WHERE vat_id > s.name);
-- case column-limit: in LIMIT
SELECT name FROM stations LIMIT (SELECT risk FROM customers LIMIT 1);
-- case column-any: in ANY
SELECT name FROM stations WHERE name < ANY (SELECT vat_id FROM customers);
-- case column-renamed: an alias list does not count hidden columns
SELECT o FROM customers AS c (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o);
-- case column-field: as a field of the row
SELECT (c).vat_id FROM customers c;
-- case column-field-star: of the row's star
SELECT (c.*).vat_id FROM customers c;
-- case column-field-by-table: by the table's name as a row
SELECT (customers).vat_id FROM customers;
-- case column-field-sub: of a row out of a sub-query
SELECT (x).vat_id FROM (SELECT c AS x FROM customers c) q;
-- case column-json-of-row [contained]: the row as JSON has no such key
SELECT to_jsonb(c) ->> 'vat_id' FROM customers c;
-- case column-text-of-row [contained]: the row as text
SELECT c::text FROM customers c;
-- case column-populate [contained]: a row made of JSON shows at most names that are granted
SELECT row_to_json(c) FROM (SELECT * FROM customers) c;
-- case column-inner-outer: an inner query that means the outer hidden column
SELECT name FROM customers WHERE (SELECT vat_id) LIKE 'C%';
-- case column-partial-clear [contained]: another row's field is NULL, not its value
SELECT declared, note, contents FROM parcels WHERE parcel_id IN (1101, 1102);
-- case column-partial-filter [contained]: and is not found by it
SELECT 'LEAK' || 'BIT' FROM parcels WHERE declared = 60;
-- case column-partial-aggregate [contained]: nor in an aggregate
SELECT max(declared), array_agg(contents) FROM parcels;
-- case column-denied-field [contained]: a field denied in this row
SELECT note FROM parcels WHERE parcel_id = 1003;
-- case column-denied-field-filter [contained]: nor by a filter
SELECT 'LEAK' || 'BIT' FROM parcels WHERE note LIKE 'CAN%';
-- case column-of-view: a hidden column of a granted view
SELECT declared FROM city_totals;
-- case column-of-child: of a child of a granted table
SELECT axle_secret FROM vehicles;
-- case column-customs: of parcels
SELECT customs_code FROM parcels;
-- case column-device: of scans
SELECT s.* , s.device_key FROM scans s;
-- case column-tenant-of-invoices: the tenant, where it is not granted
SELECT depot FROM invoices;
-- case column-ctid: a system column
SELECT ctid FROM stations;
-- case column-xmin: another
SELECT xmin, xmax, cmin FROM parcels;
-- case column-tableoid: the partition that a row is in
SELECT tableoid::regclass FROM movements;
-- case column-mask-clear [contained]: behind the mask
SELECT 'LEAK' || 'BIT' FROM customers WHERE email LIKE 'ada.%';
-- case column-mask-phone [contained]: behind another
SELECT substr(phone, 1, 8), reverse(phone), translate(phone, '*', '') FROM customers WHERE customer_id = 101;
-- case column-mask-credit [contained]: the rest of a rounded number
SELECT credit % 100, credit - 1234.56 FROM customers WHERE customer_id = 101;
-- case column-mask-born [contained]: the rest of a date
SELECT extract(month FROM born), extract(day FROM born) FROM customers WHERE customer_id = 101;
-- case column-mask-union [contained]: through a union with text
SELECT email FROM customers UNION ALL SELECT name FROM customers;
-- case column-mask-regexp [contained]: by pattern
SELECT regexp_matches(email, '^(.*)@') FROM customers WHERE customer_id = 101;
-- case column-mask-iban [contained]: the start of an account number
SELECT left(iban, 20) FROM invoices;
-- case column-update-set: as the source of a write
UPDATE complaints SET answer = internal WHERE complaint_id = 501;
-- case column-update-where: as its condition
UPDATE complaints SET state = 'closed' WHERE internal LIKE 'C%';
-- case column-update-returning: as its result
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501 RETURNING internal;
-- case column-update-from: of its source
UPDATE complaints SET answer = c.vat_id FROM customers c WHERE c.customer_id = complaints.customer_id;
-- case column-insert-select: as the source of an insert
INSERT INTO complaints (customer_id, subject) SELECT 101, vat_id FROM customers;
-- case column-insert-returning: as its result
INSERT INTO complaints (customer_id, subject) VALUES (101, 'x') RETURNING internal;
-- case column-delete-where: as a condition of a delete
DELETE FROM labels USING customers c WHERE c.risk > 0;
-- case column-delete-returning: as its result
DELETE FROM complaints WHERE state = 'draft' RETURNING internal;
-- case column-copy: in COPY
COPY (SELECT vat_id FROM customers) TO STDOUT;
-- case column-second-statement: in the second of two
SELECT 1; SELECT vat_id FROM customers;
