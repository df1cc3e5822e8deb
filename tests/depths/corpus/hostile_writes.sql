-- Writes that would leave the scope, or that nobody granted.

-- case write-field: a field that no grant names
UPDATE complaints SET subject = 'x' WHERE complaint_id = 501;
-- case write-field-hidden: a field that may not even be read
UPDATE complaints SET internal = 'x' WHERE complaint_id = 501;
-- case write-field-two: one that is granted, one that is not
UPDATE complaints SET state = 'closed', priority = 1 WHERE complaint_id = 501;
-- case write-row-form: in the form of a row
UPDATE complaints SET (state, body) = ('closed', 'x') WHERE complaint_id = 501;
-- case write-row-sub: from a sub-query
UPDATE complaints SET (state, body) = (SELECT 'closed', 'x') WHERE complaint_id = 501;
-- case write-two-grants: two fields of two grants that none has together
UPDATE parcels SET state = 'held', to_city = 'York' WHERE parcel_id = 1001;
-- case write-set: a value out of the closed set
UPDATE complaints SET state = 'draft' WHERE complaint_id = 501;
-- case write-set-many: one of several rows
UPDATE complaints SET state = CASE complaint_id WHEN 501 THEN 'draft' ELSE 'closed' END;
-- case write-set-null: NULL is no member
UPDATE complaints SET state = NULL WHERE complaint_id = 501;
-- case write-enum-leaves: out of the grant's rows
UPDATE parcels SET state = 'moving' WHERE parcel_id = 1001;
-- case write-enum-lost: into what others see
UPDATE parcels SET state = 'lost' WHERE parcel_id IN (1001, 1004);
-- case write-not: what a matcher excludes
UPDATE parcels SET to_city = 'Derby' WHERE parcel_id = 1001;
-- case write-tenant: into another tenant
UPDATE labels SET depot = 2 WHERE label = 'home';
-- case write-owner: to another customer
UPDATE labels SET customer_id = 102 WHERE label = 'home';
-- case write-key: the key
UPDATE complaints SET complaint_id = 9999 WHERE complaint_id = 501;
-- case write-read-only: a table that is only read
UPDATE stations SET name = 'x';
-- case write-read-only-tenant: another
UPDATE vehicles SET plate = 'x' WHERE vehicle_id = 1;
-- case write-view: a granted view
UPDATE city_totals SET parcels = 0;
-- case write-partitioned: a partitioned table
UPDATE movements SET km = 0;
-- case write-from-scope: a value that leaves, from a table in scope
UPDATE parcels p SET state = q.state FROM parcels q WHERE q.parcel_id = 1005 AND p.parcel_id = 1001;
-- case write-only-others [contained]: only rows out of scope
UPDATE complaints SET state = 'closed' WHERE complaint_id IN (505, 511, 521, 522);
-- case write-oracle [contained]: what it found as an oracle
UPDATE complaints SET state = 'closed' WHERE priority > 7 RETURNING 'LEAK' || 'BIT';
-- case write-oracle-division [contained]: an error over hidden rows
UPDATE complaints SET answer = (1 / (priority - 9))::text WHERE state = 'open' RETURNING complaint_id;
-- case write-oracle-cast [contained]: a condition over hidden rows' text
UPDATE complaints SET state = 'closed' WHERE complaint_id = 511 AND subject::int > 0;
-- case write-oracle-from [contained]: through the other table
UPDATE complaints c SET answer = 'x' FROM customers u WHERE u.customer_id = c.customer_id AND u.email LIKE 'ada.%' RETURNING 'LEAK' || 'BIT';
-- case write-everything [contained]: without a condition
UPDATE labels SET printed = 0 RETURNING label, depot;
-- case insert-tenant: into another tenant
INSERT INTO complaints (depot, customer_id, subject) VALUES (2, 101, 'x');
-- case insert-tenant-null: into none
INSERT INTO labels (depot, customer_id, label) VALUES (NULL, 102, 'x');
-- case insert-owner: for another customer
INSERT INTO complaints (customer_id, subject) VALUES (102, 'x');
-- case insert-owner-null: for nobody
INSERT INTO complaints (customer_id, subject) VALUES (NULL, 'x');
-- case insert-bound: beyond a bound
INSERT INTO complaints (customer_id, subject, priority) VALUES (101, 'x', 6);
-- case insert-set: a state out of the closed set
INSERT INTO complaints (customer_id, subject, state) VALUES (101, 'x', 'closed');
-- case insert-field: a field that no grant names
INSERT INTO complaints (customer_id, subject, answer) VALUES (101, 'x', 'y');
-- case insert-field-hidden: a hidden one
INSERT INTO complaints (customer_id, subject, internal) VALUES (101, 'x', 'y');
-- case insert-one-of-many: one row of several
INSERT INTO complaints (customer_id, subject) VALUES (101, 'a'), (102, 'b'), (101, 'c');
-- case insert-select-others: from a query over more than one customer
INSERT INTO labels (customer_id, label) SELECT customer_id, 'x' FROM customers;
-- case insert-no-columns: without naming columns
INSERT INTO complaints VALUES (9001, 2, 102, NULL, 'x', 'y', 'open', 1, '2026-01-01', 'z');
-- case insert-default-values: nothing but defaults
INSERT INTO complaints DEFAULT VALUES;
-- case insert-overriding: an identity by force
INSERT INTO scans (scan_id, parcel_id, at, place, device_key) OVERRIDING SYSTEM VALUE VALUES (1, 1001, now(), 'x', 'y');
-- case insert-read-only: a table that is only read
INSERT INTO stations VALUES (7, 'x', 'y', NULL, '2026-01-01', '(0,0)');
-- case insert-invoices: another
INSERT INTO invoices (invoice_id, customer_id, amount, due, paid, iban) VALUES (1, 101, 1, '2026-01-01', true, 'x');
-- case insert-parent: a parent of a child table
INSERT INTO vehicles (vehicle_id, depot, plate, seats) VALUES (9, 1, 'x', 1);
-- case insert-foreign-key: a reference to what is not there tells nothing
INSERT INTO complaints (customer_id, parcel_id, subject) VALUES (101, 999999, 'x');
-- case insert-check: a check of the table
INSERT INTO complaints (customer_id, subject, state) VALUES (101, 'x', 'nothing');
-- case insert-duplicate: a key that is there
INSERT INTO complaints (complaint_id, customer_id, subject) VALUES (501, 101, 'x');
-- case insert-duplicate-hidden: a key that is there and hidden, said without the value
INSERT INTO complaints (complaint_id, customer_id, subject) VALUES (505, 101, 'x');
-- case insert-returning-oracle: another customer's, with a result
INSERT INTO complaints (customer_id, subject) VALUES (102, 'x') RETURNING *;
-- case delete-read-only: a table that is only read
DELETE FROM stations;
-- case delete-parcels: rows of one's own that nobody may delete
DELETE FROM parcels WHERE parcel_id = 1001;
-- case delete-customers: nor these
DELETE FROM customers WHERE customer_id = 101;
-- case delete-others [contained]: rows of others
DELETE FROM complaints WHERE complaint_id IN (511, 521, 522);
-- case delete-everything [contained]: without a condition, only what may go
DELETE FROM labels RETURNING label;
-- case delete-oracle [contained]: by what is hidden
DELETE FROM complaints WHERE priority > 7 RETURNING 'LEAK' || 'BIT';
-- case delete-using-others [contained]: through another table
DELETE FROM labels USING complaints k WHERE k.customer_id = labels.customer_id AND k.priority > 7 RETURNING 'LEAK' || 'BIT';
-- case truncate: all at once
TRUNCATE complaints;
-- case truncate-labels: of a table whose every row may be deleted
TRUNCATE labels;
-- case write-transaction: undone with its transaction
BEGIN;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501;
UPDATE complaints SET state = 'draft' WHERE complaint_id = 504;
COMMIT;
-- case write-in-read-only: in a transaction that only reads
BEGIN READ ONLY;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501;
-- case write-batch: the second of two in one text
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501; UPDATE stations SET name = 'x';
-- case write-current-of: by a cursor's place
BEGIN;
DECLARE k CURSOR FOR SELECT complaint_id FROM complaints WHERE complaint_id = 501;
FETCH k;
UPDATE stations SET name = 'x' WHERE CURRENT OF k;
-- case write-cte-hidden: in a CTE
WITH w AS (UPDATE depot_keys SET secret = 'x' RETURNING secret) SELECT * FROM w;
-- case write-cte-field: in a CTE, a field that is not granted
WITH w AS (UPDATE complaints SET body = 'x' RETURNING complaint_id) SELECT * FROM w;
-- case write-cte-set: in a CTE, a value out of the set
WITH w AS (UPDATE complaints SET state = 'draft' WHERE complaint_id = 501 RETURNING complaint_id) SELECT * FROM w;
-- case write-cte-owner: in a CTE, for another customer
WITH w AS (INSERT INTO labels (customer_id, label) VALUES (102, 'x') RETURNING label) SELECT * FROM w;
-- case write-cte-delete: in a CTE, from a table that is only read
WITH w AS (DELETE FROM stations RETURNING name) SELECT * FROM w;
-- case upsert-owner: for another customer
INSERT INTO labels (customer_id, label) VALUES (102, 'x') ON CONFLICT (customer_id, label) DO UPDATE SET colour = 'y';
-- case upsert-field: setting what is not granted
INSERT INTO labels (customer_id, label) VALUES (101, 'home') ON CONFLICT (customer_id, label) DO UPDATE SET customer_id = 102;
-- case upsert-hidden: of what is hidden
INSERT INTO complaints (complaint_id, customer_id, subject) VALUES (505, 101, 'x') ON CONFLICT (complaint_id) DO UPDATE SET answer = complaints.internal;
-- case upsert-oracle [contained]: whether a hidden key is there
INSERT INTO complaints (complaint_id, customer_id, subject) VALUES (505, 101, 'x') ON CONFLICT (complaint_id) DO UPDATE SET answer = 'LEAK' || 'BIT' RETURNING answer;
-- case upsert-tenant: into another tenant
INSERT INTO labels (depot, customer_id, label) VALUES (2, 101, 'home') ON CONFLICT (customer_id, label) DO UPDATE SET printed = 0;
-- case merge-delete: a MERGE that deletes what nobody may
MERGE INTO parcels p USING (VALUES (1001)) v(id) ON p.parcel_id = v.id WHEN MATCHED THEN DELETE;
-- case merge-update: one that writes a field that is not granted
MERGE INTO complaints c USING (VALUES (501)) v(id) ON c.complaint_id = v.id WHEN MATCHED THEN UPDATE SET body = 'x';
-- case merge-insert: one that inserts for another
MERGE INTO labels l USING (VALUES (102, 'x')) v(c, n) ON l.customer_id = v.c AND l.label = v.n WHEN NOT MATCHED THEN INSERT (customer_id, label) VALUES (v.c, v.n);
-- case merge-hidden: into a hidden table
MERGE INTO depot_keys k USING stations s ON k.depot = s.station_id WHEN MATCHED THEN UPDATE SET secret = 'x';
-- case merge-source: from a hidden table
MERGE INTO labels l USING depot_keys k ON l.depot = k.depot WHEN MATCHED THEN UPDATE SET colour = k.secret;
