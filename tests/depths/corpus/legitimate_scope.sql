-- What the scope itself makes of rows and fields: tenants, masks by row, partial fields, denied rows and fields.

-- case every-column: a star is the granted columns only
SELECT * FROM customers;
-- case every-column-of-partial: rows admitted by two grants, each with other fields
SELECT * FROM parcels;
-- case mask-by-row: clear for the press, masked for the own customer, absent for others
SELECT customer_id, email, phone FROM customers;
-- case mask-round: a rounded number
SELECT credit FROM customers WHERE customer_id = 101;
-- case mask-year: a date cut to its year
SELECT born FROM customers WHERE born IS NOT NULL;
-- case mask-filter: a filter sees the masked value
SELECT name FROM customers WHERE email LIKE 'a***@%';
-- case mask-filter-clear [empty]: and not the clear one
SELECT name FROM customers WHERE email LIKE 'ada.%';
-- case mask-order [ordered]: sorting sees the masked value
SELECT customer_id, phone FROM customers WHERE phone IS NOT NULL ORDER BY phone DESC, customer_id;
-- case mask-group: grouping sees the masked value
SELECT email, count(*) FROM customers GROUP BY email;
-- case mask-join: a join sees the masked value
SELECT c.name, d.name AS other FROM customers c JOIN customers d ON c.email = d.email;
-- case mask-distinct: DISTINCT sees the masked value
SELECT DISTINCT phone FROM customers;
-- case mask-expression: an expression over masked values
SELECT upper(email), length(phone), credit / 2 FROM customers WHERE customer_id = 101;
-- case mask-last4: the last four characters stay
SELECT iban FROM invoices;
-- case mask-round-ten: another step
SELECT invoice_id, amount FROM invoices;
-- case mask-sum: a sum of masked values
SELECT sum(amount), max(amount), min(credit) FROM invoices, customers WHERE customers.customer_id = 101;
-- case partial-null: what a row's grant does not show is NULL
SELECT parcel_id FROM parcels WHERE declared IS NULL;
-- case partial-count: NULL is not counted
SELECT count(*), count(declared), count(weight) FROM parcels;
-- case partial-state: a filter on a column that both grants show
SELECT parcel_id, weight FROM parcels WHERE state = 'lost';
-- case partial-filter: a filter on a column that one grant shows
SELECT parcel_id FROM parcels WHERE declared > 100;
-- case partial-not: negation of a comparison with NULL does not find the row
SELECT parcel_id FROM parcels WHERE NOT (declared > 100);
-- case partial-coalesce: the absent value can be replaced
SELECT parcel_id, coalesce(declared, -1) FROM parcels;
-- case partial-is-distinct: NULL is told from values
SELECT parcel_id FROM parcels WHERE customer_id IS DISTINCT FROM 101;
-- case denied-field: a field denied in some rows is NULL there
SELECT parcel_id, fragile, note FROM parcels;
-- case denied-field-count: and does not count
SELECT count(note) FROM parcels WHERE fragile;
-- case denied-rows: denied rows are not there
SELECT count(*), max(priority) FROM complaints;
-- case denied-rows-by-key [empty]: not by their key either
SELECT * FROM complaints WHERE complaint_id = 505;
-- case denied-segment [empty]: a denied row of a table that everybody may read
SELECT * FROM customers WHERE segment = 'internal';
-- case tenant: only the session's tenant
SELECT DISTINCT depot FROM vehicles;
-- case tenant-other [empty]: the other tenant by its value
SELECT * FROM vehicles WHERE depot = 2;
-- case tenant-null-field: the tenant of a row whose grant does not show it
SELECT parcel_id, depot FROM parcels ORDER BY parcel_id;
-- case within: a window of time that moves
SELECT place, temp FROM scans;
-- case within-future [empty]: nothing after now
SELECT * FROM scans WHERE at > now();
-- case within-old [empty]: nothing before the window
SELECT * FROM scans WHERE at < now() - interval '90 days';
-- case subquery-filter: rows that an author's sub-query admits
SELECT invoice_id, customer_id, due FROM invoices;
-- case subquery-filter-key [empty]: others not by their key
SELECT * FROM invoices WHERE invoice_id IN (604, 605);
-- case view-resource: a view granted as a resource of its own
SELECT city, parcels FROM city_totals;
-- case view-resource-star: its granted columns only
SELECT * FROM city_totals;
-- case view-join: a view joined to a table
SELECT s.name, t.parcels FROM stations s JOIN city_totals t USING (city);
-- case untenanted: a table without a tenant
SELECT * FROM tariffs;
-- case key-lookup: by the whole primary key
SELECT price FROM tariffs WHERE zone = 'home' AND upto = 5;
-- case quoted-names: quoted identifiers
SELECT "c"."name" FROM "customers" AS "c" WHERE "c"."customer_id" = 101;
-- case upper-case-names: folded identifiers
SELECT NAME FROM CUSTOMERS WHERE CUSTOMER_ID = 101;
-- case alias-columns: columns renamed by an alias
SELECT a, b FROM stations AS s (a, b);
-- case alias-like-table: an alias that is another table's name
SELECT parcels.name FROM stations AS parcels;
-- case alias-like-hidden: an alias that is a hidden table's name
SELECT depot_keys.name FROM stations AS depot_keys;
-- case column-like-table: an output name that is a table's name
SELECT customer_id AS customers FROM customers;
-- case only [not both]: ONLY on a table without children
SELECT name FROM ONLY stations;
-- case inheritance: rows of a child count to its parent
SELECT vehicle_id, plate FROM vehicles;
-- case inheritance-only [rewrite]: not with ONLY
SELECT vehicle_id, plate FROM ONLY vehicles;
-- case inheritance-star: a star after the name is the same as none
SELECT plate FROM vehicles *;
-- case partitions: rows of every partition
SELECT count(*), min(day), max(day) FROM movements;
-- case partitions-pruned: a filter on the partition key
SELECT movement_id FROM movements WHERE day BETWEEN '2026-01-01' AND '2026-03-31';
-- case partitions-grouped: grouped by what partitions
SELECT extract(year FROM day) AS y, sum(km) FROM movements GROUP BY 1;
-- case table-command: TABLE is SELECT *
TABLE stations;
-- case no-columns: a row without columns is a row
SELECT FROM stations;
-- case whole-row: a row as a value holds the granted columns
SELECT s FROM stations s;
-- case whole-row-masked: masked in it too
SELECT c FROM customers c WHERE customer_id = 101;
-- case whole-row-json: as JSON
SELECT row_to_json(c) FROM customers c;
-- case whole-row-jsonb: as jsonb, by the table's name
SELECT to_jsonb(parcels) FROM parcels;
-- case whole-row-agg: rows gathered
SELECT json_agg(l ORDER BY l.label) FROM labels l;
-- case whole-row-field: a field of a row
SELECT (c).name FROM customers c;
-- case whole-row-null: a row is null when all its fields are
SELECT parcel_id FROM parcels p WHERE p IS NOT NULL OR p.customer_id IS NULL;
-- case whole-row-count: rows are counted by value
SELECT count(DISTINCT l) FROM labels l;
-- case whole-row-equal: rows compared
SELECT a.label FROM labels a JOIN labels b ON a = b;
-- case whole-row-sub: a row out of a sub-query
SELECT (x).city FROM (SELECT s AS x FROM stations s) q;
-- case star-qualified: the star of one of two tables
SELECT c.* FROM customers c JOIN parcels p USING (customer_id) WHERE p.parcel_id = 1001;
-- case star-in-row: a star in a row constructor
SELECT ROW(l.*) FROM labels l;
-- case allowed-function: a function that the policy allows
SELECT parcel_id, public.freight_class(weight) FROM parcels;
