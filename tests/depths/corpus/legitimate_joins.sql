-- Joins, LATERAL, sub-queries in every position.

-- case join-inner: on a condition
SELECT c.name, p.parcel_id FROM customers c JOIN parcels p ON p.customer_id = c.customer_id;
-- case join-using: USING merges the column
SELECT customer_id, name, parcel_id FROM customers JOIN parcels USING (customer_id);
-- case join-natural: NATURAL uses the granted columns
SELECT count(*) FROM complaints NATURAL JOIN labels;
-- case join-using-alias: a name for the merged columns
SELECT j.customer_id FROM customers JOIN parcels USING (customer_id) AS j;
-- case join-left: rows without a partner
SELECT c.name, p.parcel_id FROM customers c LEFT JOIN parcels p USING (customer_id);
-- case join-right: from the other side
SELECT s.place, p.to_city FROM parcels p RIGHT JOIN scans s USING (parcel_id);
-- case join-full: both sides
SELECT c.city, s.name FROM customers c FULL JOIN stations s ON s.city = c.city;
-- case join-full-using: with a merged column of which either side may lack
SELECT city, c.name, t.parcels FROM customers c FULL JOIN city_totals t USING (city);
-- case join-cross: every pair
SELECT a.name, b.name FROM stations a CROSS JOIN stations b WHERE a.station_id < b.station_id;
-- case join-comma: the old form
SELECT p.parcel_id, s.place FROM parcels p, scans s WHERE s.parcel_id = p.parcel_id;
-- case join-self: a table with itself
SELECT c.name, p.name AS parent FROM stations c LEFT JOIN stations p ON p.station_id = c.parent;
-- case join-three: three tables
SELECT c.name, p.parcel_id, s.place FROM customers c JOIN parcels p USING (customer_id) JOIN scans s USING (parcel_id);
-- case join-five: five of them
SELECT c.name, p.parcel_id, s.place, m.km, k.subject FROM customers c JOIN parcels p USING (customer_id)
  LEFT JOIN scans s USING (parcel_id) LEFT JOIN movements m USING (parcel_id) LEFT JOIN complaints k USING (parcel_id);
-- case join-nested: parentheses that change the order
SELECT c.name, x.parcel_id FROM customers c LEFT JOIN (parcels x JOIN scans s USING (parcel_id)) ON x.customer_id = c.customer_id;
-- case join-alias: an alias of a join
SELECT j.name, j.parcel_id FROM (customers c JOIN parcels p USING (customer_id)) AS j;
-- case join-on-expression: on an expression
SELECT a.name, b.name FROM stations a JOIN stations b ON length(a.name) = length(b.name) AND a.station_id < b.station_id;
-- case join-on-range: on a range
SELECT p.parcel_id, t.price FROM parcels p JOIN tariffs t ON t.zone = 'home' AND p.weight <= t.upto AND t.valid @> p.booked;
-- case join-on-or: on alternatives
SELECT s.name, t.city FROM stations s JOIN city_totals t ON t.city = s.city OR t.city = s.name;
-- case join-on-false: an outer join that finds nothing
SELECT c.customer_id, p.parcel_id FROM customers c LEFT JOIN parcels p ON false;
-- case join-on-outer-filter: a condition on the outer side
SELECT s.name, c.name FROM stations s LEFT JOIN customers c ON c.city = s.city AND c.segment = 'trade';
-- case join-anti: those without a partner
SELECT s.name FROM stations s LEFT JOIN stations k ON k.parent = s.station_id WHERE k.station_id IS NULL;
-- case join-masked: through a masked column to its clear twin
SELECT c.customer_id FROM customers c JOIN (VALUES ('a***@example.com')) v(email) USING (email);
-- case lateral: a sub-query that sees what stands before it
SELECT c.name, last.place FROM customers c, LATERAL (SELECT s.place FROM parcels p JOIN scans s USING (parcel_id)
  WHERE p.customer_id = c.customer_id ORDER BY s.at DESC LIMIT 1) AS last;
-- case lateral-left: with rows that find nothing
SELECT s.name, x.n FROM stations s LEFT JOIN LATERAL (SELECT count(*) AS n FROM customers c WHERE c.city = s.city) x ON true;
-- case lateral-function: a function of the row before
SELECT p.parcel_id, g FROM parcels p, LATERAL generate_series(1, p.declared / 300) AS g;
-- case lateral-values: values of the row before
SELECT p.parcel_id, v.what, v.n FROM parcels p CROSS JOIN LATERAL (VALUES ('declared', p.declared), ('long', p.dims[1])) v(what, n);
-- case lateral-nested: two deep
SELECT c.name, y.place FROM customers c CROSS JOIN LATERAL (SELECT * FROM parcels p WHERE p.customer_id = c.customer_id) x
  CROSS JOIN LATERAL (SELECT place FROM scans s WHERE s.parcel_id = x.parcel_id) y;
-- case lateral-top: the two newest of each
SELECT c.customer_id, p.parcel_id FROM customers c CROSS JOIN LATERAL (SELECT parcel_id FROM parcels q
  WHERE q.customer_id = c.customer_id ORDER BY booked DESC, parcel_id LIMIT 2) p;
-- case sub-scalar: one value
SELECT name, (SELECT count(*) FROM parcels p WHERE p.customer_id = c.customer_id) FROM customers c;
-- case sub-scalar-uncorrelated: of the whole table
SELECT parcel_id, weight - (SELECT avg(weight) FROM parcels) > 0 FROM parcels;
-- case sub-exists: EXISTS
SELECT name FROM customers c WHERE EXISTS (SELECT FROM parcels p WHERE p.customer_id = c.customer_id AND p.state = 'lost');
-- case sub-not-exists: NOT EXISTS
SELECT name FROM stations s WHERE NOT EXISTS (SELECT 1 FROM stations k WHERE k.parent = s.station_id);
-- case sub-in: IN
SELECT place FROM scans WHERE parcel_id IN (SELECT parcel_id FROM parcels WHERE customer_id = 101);
-- case sub-not-in: NOT IN, with a NULL among the values
SELECT name FROM stations WHERE station_id NOT IN (SELECT parent FROM stations WHERE parent IS NOT NULL);
-- case sub-not-in-null [empty]: NOT IN over a NULL is never true
SELECT name FROM stations WHERE station_id NOT IN (SELECT parent FROM stations);
-- case sub-any: ANY with a comparison
SELECT parcel_id FROM parcels WHERE weight > ANY (SELECT upto FROM tariffs);
-- case sub-all: ALL
SELECT parcel_id FROM parcels WHERE weight <= ALL (SELECT upto FROM tariffs);
-- case sub-row: a row compared with a query's
SELECT name FROM stations WHERE (city, station_id) = (SELECT 'Leeds', 2);
-- case sub-row-in: rows in a query's
SELECT zone, upto FROM tariffs WHERE (zone, upto) IN (SELECT zone, max(upto) FROM tariffs GROUP BY zone);
-- case sub-from: in FROM
SELECT q.city, q.n FROM (SELECT city, count(*) AS n FROM customers GROUP BY city) q WHERE q.n > 1;
-- case sub-from-columns: with renamed columns
SELECT q.a FROM (SELECT name, city FROM stations) AS q(a, b) WHERE q.b = 'Leeds';
-- case sub-from-nested: three deep
SELECT x FROM (SELECT x FROM (SELECT name AS x FROM (SELECT * FROM stations) a) b) c;
-- case sub-having: in HAVING
SELECT city FROM customers GROUP BY city HAVING count(*) > (SELECT avg(n) FROM (SELECT count(*) AS n FROM customers GROUP BY city) q);
-- case sub-order [ordered]: in ORDER BY
SELECT name FROM stations s ORDER BY (SELECT count(*) FROM stations k WHERE k.parent = s.station_id) DESC, name;
-- case sub-limit [ordered]: in LIMIT
SELECT name FROM stations ORDER BY name LIMIT (SELECT count(*) / 3 FROM stations);
-- case sub-case: in CASE
SELECT CASE WHEN EXISTS (SELECT FROM parcels WHERE state = 'lost') THEN 'some' ELSE 'none' END;
-- case sub-group: in GROUP BY
SELECT (SELECT max(k.name) FROM stations k WHERE k.parent = s.station_id) AS g, count(*) FROM stations s GROUP BY 1;
-- case sub-function-argument: as an argument
SELECT upper((SELECT name FROM stations WHERE station_id = 1));
-- case sub-in-array: in an array constructor
SELECT ARRAY[(SELECT min(name) FROM stations), (SELECT max(name) FROM stations)];
-- case sub-values: in VALUES
VALUES ((SELECT count(*) FROM stations)), ((SELECT count(*) FROM tariffs));
-- case sub-on: in a join's condition
SELECT s.name FROM stations s JOIN tariffs t ON t.price = (SELECT min(price) FROM tariffs) AND s.station_id = 1;
-- case sub-aggregate-argument: in an aggregate
SELECT sum((SELECT count(*) FROM stations k WHERE k.parent = s.station_id)) FROM stations s;
-- case sub-filter: in FILTER
SELECT count(*) FILTER (WHERE city IN (SELECT city FROM stations)) FROM customers;
-- case sub-correlated-two: correlated over two levels
SELECT c.name FROM customers c WHERE EXISTS (SELECT FROM parcels p WHERE p.customer_id = c.customer_id
  AND EXISTS (SELECT FROM scans s WHERE s.parcel_id = p.parcel_id AND s.place <> c.city AND NOT s.ok));
-- case sub-shadow: an inner name hides the outer
SELECT name FROM stations s WHERE station_id = (SELECT min(station_id) FROM stations s WHERE s.city = 'Derby');
-- case sub-outer-name: an inner query that names only the outer table
SELECT name FROM customers WHERE EXISTS (SELECT 1 WHERE customers.city = 'York');
-- case sub-array-any: ANY over an array of a sub-query
SELECT name FROM stations WHERE station_id = ANY (ARRAY(SELECT parent FROM stations WHERE parent IS NOT NULL));
