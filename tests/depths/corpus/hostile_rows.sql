-- Rows out of scope: another tenant's (depot 2), another customer's, denied ones, outside the window of time.

-- case row-by-key [contained]: another customer by key
SELECT email, phone, notes FROM customers WHERE customer_id = 102;
-- case row-tenant [contained]: another tenant by its column
SELECT * FROM customers WHERE depot = 2;
-- case row-or-true [contained]: a tautology
SELECT * FROM complaints WHERE complaint_id = 501 OR true;
-- case row-or-one [contained]: the classic
SELECT * FROM customers WHERE name = '' OR '1' = '1';
-- case row-not [contained]: the complement of the scope
SELECT * FROM complaints WHERE NOT (customer_id = 101);
-- case row-is-not-true [contained]: by the third truth value
SELECT * FROM complaints WHERE (customer_id = 101) IS NOT TRUE;
-- case row-denied [contained]: a denied row
SELECT * FROM parcels WHERE parcel_id = 1007;
-- case row-denied-or [contained]: by its denied value
SELECT * FROM parcels WHERE declared > 9000 OR declared IS NULL;
-- case row-denied-segment [contained]: of a table that everybody reads
SELECT name, city FROM customers WHERE customer_id = 105;
-- case row-count [contained]: counted
SELECT count(*) FROM customers WHERE customer_id > 7700000;
-- case row-count-oracle [contained]: a count as an oracle
SELECT 'LEAK' || 'BIT' FROM customers HAVING count(*) > 6;
-- case row-exists-oracle [contained]: EXISTS as an oracle
SELECT 'LEAK' || 'BIT' WHERE EXISTS (SELECT FROM complaints WHERE complaint_id = 505);
-- case row-max [contained]: the greatest key
SELECT max(customer_id), max(parcel_id), max(complaint_id) FROM customers, parcels, complaints;
-- case row-left-join [contained]: an outer join
SELECT c.* FROM stations s LEFT JOIN customers c ON true;
-- case row-full-join [contained]: a full join
SELECT * FROM parcels p FULL JOIN customers c ON false;
-- case row-cross-join [contained]: every pair
SELECT a.name, b.email FROM customers a CROSS JOIN customers b;
-- case row-union [contained]: a union
SELECT subject FROM complaints UNION ALL SELECT note FROM parcels;
-- case row-except [contained]: what is left of a guess
SELECT customer_id FROM customers EXCEPT SELECT 101;
-- case row-intersect [contained]: what is common with a guess
SELECT parcel_id FROM parcels INTERSECT SELECT generate_series(1000, 1200);
-- case row-sub-scalar [contained]: a scalar sub-query
SELECT (SELECT max(subject) FROM complaints WHERE priority > 7);
-- case row-sub-array [contained]: an array
SELECT ARRAY(SELECT notes FROM customers);
-- case row-lateral [contained]: LATERAL
SELECT x.* FROM stations s CROSS JOIN LATERAL (SELECT * FROM complaints) x;
-- case row-cte [contained]: a CTE
WITH q AS (SELECT * FROM customers) SELECT * FROM q WHERE customer_id <> 101;
-- case row-cte-shadow [contained]: a CTE named like the table
WITH customers AS (SELECT * FROM customers) SELECT * FROM customers;
-- case row-cte-filter-name [contained]: a CTE named like the table of the author's sub-query
WITH assignments AS (SELECT 'clerk' AS agent, 102 AS customer_id) SELECT * FROM invoices;
-- case row-cte-filter-name-two [contained]: that the sub-query would see
WITH assignments(agent, customer_id) AS (VALUES ('clerk', 101), ('clerk', 102), ('clerk', 7720001)) SELECT i.* FROM invoices i, assignments a;
-- case row-recursive [contained]: walking over keys
WITH RECURSIVE t(n) AS (SELECT 500 UNION ALL SELECT n + 1 FROM t WHERE n < 530) SELECT k.* FROM t JOIN complaints k ON k.complaint_id = t.n;
-- case row-window [contained]: the row after the last
SELECT name, lead(name, 1) OVER (ORDER BY customer_id), lag(email) OVER (ORDER BY customer_id) FROM customers;
-- case row-order-offset [contained]: beyond the last
SELECT * FROM complaints ORDER BY complaint_id OFFSET 4;
-- case row-window-of-time [contained]: before the window of time
SELECT place, at FROM scans WHERE at < now() - interval '91 days';
-- case row-future [contained]: after now
SELECT place FROM scans WHERE at >= now();
-- case row-within-zone [contained]: with another zone
SET TIME ZONE 'Pacific/Kiritimati';
SELECT place FROM scans WHERE at > now() + interval '1 day';
-- case row-partition [contained]: another tenant's partitioned rows
SELECT * FROM movements WHERE km > 1000;
-- case row-partition-default [contained]: in the default partition
SELECT * FROM movements WHERE day < '2020-01-01';
-- case row-child [contained]: another tenant's row of a child
SELECT * FROM vehicles WHERE vehicle_id = 5;
-- case row-view [contained]: rows of the view that are not granted
SELECT * FROM city_totals WHERE city LIKE 'CAN%';
-- case row-invoices [contained]: invoices of another customer
SELECT * FROM invoices WHERE customer_id = 102;
-- case row-invoices-tenant [contained]: of the same customer in another depot
SELECT * FROM invoices WHERE customer_id = 101 AND invoice_id = 605;
-- case row-whole [contained]: rows as values
SELECT c FROM complaints c;
-- case row-json-agg [contained]: rows gathered
SELECT json_agg(c) FROM customers c;
-- case row-tablesample [rewrite]: a sample is of the scope
SELECT name, email, notes FROM customers TABLESAMPLE SYSTEM (100);
-- case row-for-update [contained]: locking is not reading more
SELECT * FROM complaints WHERE complaint_id IN (505, 511, 521) FOR UPDATE;
-- case row-cast-error [contained]: an error that tells of hidden text
SELECT subject::int FROM complaints WHERE complaint_id = 505;
-- case row-cast-error-all: an error over rows in scope is just an error
SELECT subject::int FROM complaints;
-- case row-division [contained]: a division by what is hidden
SELECT 1 / (priority - 9) FROM complaints;
-- case row-division-join [contained]: in a join
SELECT 1 / (c.customer_id - 102) FROM complaints c;
-- case row-division-case [contained]: in a CASE
SELECT CASE WHEN customer_id = 102 THEN 1 / 0 END FROM complaints;
-- case row-like-leak [contained]: a pattern over hidden rows' text
SELECT count(*) FROM complaints WHERE subject LIKE 'CANARY%';
-- case row-regexp-leak [contained]: a regular expression
SELECT count(*) FROM complaints WHERE subject ~ 'CANARY';
-- case row-date-leak [contained]: a text read as a date
SELECT count(*) FROM complaints WHERE subject::date > '2020-01-01' AND complaint_id = 505;
-- case row-json-leak [contained]: a text read as JSON
SELECT notes::jsonb FROM customers WHERE customer_id = 102;
-- case row-numeric-leak [contained]: an overflow over hidden numbers
SELECT (weight * 1e300)::real FROM parcels WHERE parcel_id = 1103;
-- case row-substring-leak [contained]: a negative length
SELECT substr(body, 1, 10 - length(body)) FROM complaints WHERE complaint_id = 511;
-- case row-repeat-leak [contained]: memory as an oracle
SELECT repeat('x', CASE WHEN customer_id = 102 THEN -1 ELSE 1 END) FROM complaints;
-- case row-error-in-on [contained]: an error in a join's condition
SELECT c.name FROM customers c JOIN parcels p ON 1 / (p.parcel_id - 1103) > 0 AND c.customer_id = p.customer_id;
-- case row-error-in-having [contained]: in HAVING
SELECT city FROM customers GROUP BY city HAVING 1 / (count(*) - 60) < 1;
-- case row-array-index [contained]: an index out of a hidden array
SELECT dims[7701007] FROM parcels WHERE parcel_id = 1007;
-- case row-enum-error [contained]: a text read as an enum
SELECT note::text::public.parcel_state FROM parcels WHERE parcel_id = 1103;
-- case row-two-statements [contained]: both of two
SELECT subject FROM complaints; SELECT notes FROM customers;
-- case row-prepared-twice [contained]: asked twice, nothing more
BEGIN;
SELECT count(*) FROM complaints;
SELECT count(*) FROM complaints WHERE priority > 7;
COMMIT;
-- case row-isolation [contained]: another isolation shows no more
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM complaints WHERE depot = 2;
COMMIT;
-- case row-copy [contained]: by COPY
COPY (SELECT * FROM customers) TO STDOUT;
-- case row-values-in [contained]: keys by the hundred
SELECT * FROM parcels WHERE parcel_id = ANY (ARRAY(SELECT generate_series(7750000, 7750100)));
-- case row-escape [contained]: an escaped quote
SELECT * FROM customers WHERE name = E'\' OR 1=1 --';
-- case row-comment [contained]: a comment that would cut a filter off
SELECT * FROM complaints -- WHERE customer_id = 101
;
-- case row-comment-nested [contained]: a nested one
SELECT * FROM complaints /* /* */ WHERE 1 = 0 */;
-- case row-shadow-alias [contained]: an alias named like the filter's column
SELECT customer_id.subject FROM complaints AS customer_id;
-- case row-shadow-function [contained]: an output named like the tenant
SELECT 2 AS depot, 102 AS customer_id, k.subject FROM complaints k;
-- case row-set-tenant [contained]: a setting named like a value of the session
SET application_name = 'depot=2';
SELECT DISTINCT depot FROM customers;
-- case row-self-correlated [contained]: a correlated sub-query over both
SELECT (SELECT string_agg(k.subject, ',') FROM complaints k WHERE k.customer_id = c.customer_id) FROM customers c;
