-- Writes within the scope: what changed is compared, and what came back.

-- case update: a row by its key
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501;
-- case update-returning: with what it became
UPDATE complaints SET state = 'answered', answer = 'On its way' WHERE complaint_id = 501 RETURNING complaint_id, state, answer;
-- case update-returning-star: a star is the granted columns
UPDATE complaints SET state = 'closed' WHERE complaint_id = 502 RETURNING *;
-- case update-many: every row of the scope, and no other
UPDATE complaints SET answer = 'Sorry' RETURNING complaint_id;
-- case update-own-value: computed from itself
UPDATE complaints SET answer = coalesce(answer, '') || subject WHERE state = 'open' RETURNING answer;
-- case update-case: by a condition
UPDATE complaints SET state = CASE WHEN priority > 3 THEN 'open' ELSE 'closed' END RETURNING complaint_id, state;
-- case update-row: several columns at once
UPDATE complaints SET (state, answer) = ('answered', 'Yes') WHERE complaint_id = 504 RETURNING state, answer;
-- case update-row-sub: from a sub-query
UPDATE complaints SET (state, answer) = (SELECT 'closed', s.name FROM stations s WHERE s.station_id = 1) WHERE complaint_id = 504 RETURNING answer;
-- case update-sub: a value from a sub-query
UPDATE complaints c SET answer = (SELECT p.to_city FROM parcels p WHERE p.parcel_id = c.parcel_id) RETURNING complaint_id, answer;
-- case update-from: from another table
UPDATE complaints c SET answer = p.to_city FROM parcels p WHERE p.parcel_id = c.parcel_id AND p.state = 'held' RETURNING c.complaint_id, p.parcel_id, answer;
-- case update-from-values: from a list
UPDATE complaints c SET answer = v.a FROM (VALUES (501, 'x'), (502, 'y'), (505, 'z')) v(id, a) WHERE v.id = c.complaint_id RETURNING c.complaint_id;
-- case update-from-sub: from a grouped sub-query
UPDATE labels l SET printed = q.n FROM (SELECT customer_id, count(*)::int AS n FROM parcels GROUP BY 1) q WHERE q.customer_id = l.customer_id RETURNING label, printed;
-- case update-exists: where something is elsewhere
UPDATE complaints c SET state = 'closed' WHERE EXISTS (SELECT FROM scans s WHERE s.parcel_id = c.parcel_id AND NOT s.ok) RETURNING complaint_id;
-- case update-cte: with a CTE before it
WITH held AS (SELECT parcel_id FROM parcels WHERE state = 'held') UPDATE complaints SET answer = 'Held' WHERE parcel_id IN (SELECT parcel_id FROM held) RETURNING complaint_id;
-- case update-default [rewrite]: to the default
UPDATE labels SET colour = DEFAULT WHERE label = 'home' RETURNING colour;
-- case update-array [rewrite]: an array
UPDATE customers SET tags = tags || ARRAY['late'] WHERE customer_id = 101 RETURNING tags;
-- case update-text [rewrite]: a note
UPDATE customers SET notes = upper(notes) WHERE customer_id = 101 RETURNING customer_id, notes, email;
-- case update-other-row [empty]: another row by its key is not there
UPDATE labels SET colour = 'x' WHERE customer_id = 102;
-- case update-other-tenant [empty]: nor another tenant's
UPDATE complaints SET state = 'closed' WHERE complaint_id IN (521, 522);
-- case update-denied-row [empty]: nor a denied one
UPDATE complaints SET state = 'closed' WHERE complaint_id = 505;
-- case update-enum: within the closed set and the grant's rows
UPDATE parcels SET state = 'held' WHERE parcel_id = 1001 RETURNING parcel_id, state;
-- case update-enum-not-mine [empty]: a row that the write's grant does not reach is passed over
UPDATE parcels SET state = 'held' WHERE parcel_id = 1002;
-- case update-destination: by a matcher with `not`
UPDATE parcels SET to_city = 'York' WHERE state = 'booked' RETURNING parcel_id, to_city;
-- case update-same: to what it was
UPDATE complaints SET state = state WHERE complaint_id = 501 RETURNING state;
-- case update-alias: the target by an alias
UPDATE complaints AS k SET state = 'closed' WHERE k.complaint_id = 503 RETURNING k.state;
-- case update-only: ONLY
UPDATE ONLY complaints SET state = 'closed' WHERE complaint_id = 503 RETURNING state;
-- case insert: a row; the tenant is filled in
INSERT INTO complaints (customer_id, subject) VALUES (101, 'New');
-- case insert-returning: with what the defaults made
INSERT INTO complaints (customer_id, subject) VALUES (101, 'New') RETURNING complaint_id, depot, state, priority, opened;
-- case insert-returning-star: a star is the granted columns
INSERT INTO complaints (customer_id, subject, body) VALUES (101, 'New', 'b') RETURNING *;
-- case insert-many: several rows
INSERT INTO complaints (customer_id, subject, priority) VALUES (101, 'a', 1), (101, 'b', 5) RETURNING subject, priority;
-- case insert-select: from a query
INSERT INTO complaints (customer_id, parcel_id, subject) SELECT customer_id, parcel_id, 'Lost: ' || to_city FROM parcels WHERE state = 'lost' AND customer_id = 101 RETURNING parcel_id, subject;
-- case insert-cte: from a CTE
WITH q AS (SELECT parcel_id FROM parcels WHERE state = 'held') INSERT INTO complaints (customer_id, parcel_id, subject) SELECT 101, parcel_id, 'Held' FROM q RETURNING parcel_id;
-- case insert-default: a default said aloud
INSERT INTO complaints (customer_id, subject, body) VALUES (101, 'x', DEFAULT) RETURNING body;
-- case insert-key: with a key of one's own
INSERT INTO complaints (complaint_id, customer_id, subject) VALUES (8001, 101, 'Numbered') RETURNING complaint_id;
-- case insert-sub-value: a value from a sub-query
INSERT INTO complaints (customer_id, subject) VALUES (101, (SELECT name FROM stations WHERE station_id = 4)) RETURNING subject;
-- case insert-label: a row of a table with a key of two columns
INSERT INTO labels (customer_id, label, colour) VALUES (101, 'attic', 'green') RETURNING customer_id, label, depot, colour;
-- case insert-alias: the target by an alias
INSERT INTO labels AS l (customer_id, label) VALUES (101, 'attic') RETURNING l.colour;
-- case delete: a draft by its key
DELETE FROM complaints WHERE complaint_id = 506;
-- case delete-returning: with what it was
DELETE FROM complaints WHERE state = 'draft' RETURNING complaint_id, subject;
-- case delete-all: everything that may go, and nothing else
DELETE FROM complaints RETURNING complaint_id;
-- case delete-using: by another table
DELETE FROM labels USING customers c WHERE c.customer_id = labels.customer_id AND labels.label = 'home' RETURNING labels.label, c.name;
-- case delete-sub: by a sub-query
DELETE FROM labels WHERE printed < (SELECT avg(printed) FROM labels) RETURNING label;
-- case delete-cte: with a CTE before it
WITH q AS (SELECT max(printed) AS m FROM labels) DELETE FROM labels USING q WHERE labels.printed = q.m RETURNING label;
-- case delete-other [empty]: other rows are not there
DELETE FROM labels WHERE customer_id = 102;
-- case delete-not-granted-row [empty]: a row that may be read and not deleted is passed over
DELETE FROM complaints WHERE complaint_id = 501;
-- case transaction: two writes that are kept
BEGIN;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501;
UPDATE labels SET colour = 'green' WHERE label = 'home' RETURNING colour;
COMMIT;
-- case rollback: a write that is not
BEGIN;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501 RETURNING state;
ROLLBACK;
-- case savepoint: one of two is undone
BEGIN;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 501;
SAVEPOINT a;
UPDATE complaints SET state = 'closed' WHERE complaint_id = 504;
ROLLBACK TO a;
SELECT complaint_id, state FROM complaints;
COMMIT;
-- case read-your-writes: a statement sees what the one before it did
BEGIN;
INSERT INTO labels (customer_id, label) VALUES (101, 'shed');
SELECT label, colour FROM labels;
COMMIT;
-- case read-only: a transaction that only reads
BEGIN READ ONLY;
SELECT count(*) FROM stations;
COMMIT;
-- case serializable: another isolation
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM stations;
COMMIT;
-- case copy-out: a query as text
COPY (SELECT station_id, name FROM stations ORDER BY 1) TO STDOUT;
-- case copy-csv: as CSV
COPY (SELECT customer_id, email FROM customers ORDER BY 1) TO STDOUT WITH (FORMAT csv, HEADER);
-- case copy-options: with options
COPY (SELECT parcel_id, declared FROM parcels ORDER BY 1) TO STDOUT WITH (DELIMITER '|', NULL '-');
-- case set-zone: moments are shown in the zone that was set
SET TIME ZONE 'Asia/Tokyo';
SELECT delivered FROM parcels WHERE parcel_id = 1002;
-- case set-local: for one transaction
BEGIN;
SET LOCAL DateStyle = 'German, DMY';
SELECT booked FROM parcels WHERE parcel_id = 1002;
COMMIT;
-- case set-application: a client's name for itself
SET application_name = 'report';
SHOW application_name;
