-- Writes in WITH queries.

-- case with-update: what a write returned is read
WITH w AS (UPDATE labels SET printed = printed + 1 RETURNING label, printed) SELECT label, printed FROM w;
-- case with-delete: what a delete returned is counted
WITH w AS (DELETE FROM labels WHERE label = 'office' RETURNING label) SELECT count(*) FROM w;
-- case with-insert: what an insert returned is joined
WITH w AS (INSERT INTO labels (customer_id, label) VALUES (101, 'cellar') RETURNING customer_id, label) SELECT c.name, w.label FROM w JOIN customers c USING (customer_id);
