-- CTEs, set operations, aggregates, grouping sets, windows.

-- case cte: one
WITH lost AS (SELECT * FROM parcels WHERE state = 'lost') SELECT parcel_id, to_city FROM lost;
-- case cte-two: the second reads the first
WITH a AS (SELECT * FROM stations WHERE parent IS NOT NULL), b AS (SELECT parent, count(*) AS n FROM a GROUP BY parent)
SELECT s.name, b.n FROM b JOIN stations s ON s.station_id = b.parent;
-- case cte-columns: with named columns
WITH q (a, b) AS (SELECT name, city FROM stations) SELECT b, a FROM q;
-- case cte-twice: used twice
WITH q AS (SELECT city, count(*) AS n FROM customers GROUP BY city) SELECT x.city FROM q x JOIN q y ON x.n = y.n AND x.city < y.city;
-- case cte-materialized: kept apart
WITH q AS MATERIALIZED (SELECT * FROM parcels) SELECT count(*) FROM q WHERE state = 'held';
-- case cte-not-materialized: melted in
WITH q AS NOT MATERIALIZED (SELECT * FROM parcels) SELECT parcel_id FROM q WHERE parcel_id = 1004;
-- case cte-named-like-table: a CTE named like a table of the scope hides it
WITH parcels AS (SELECT station_id AS parcel_id FROM stations) SELECT count(*) FROM parcels;
-- case cte-reading-its-namesake: its own body reads the real table
WITH parcels AS (SELECT parcel_id FROM parcels WHERE state = 'held') SELECT * FROM parcels;
-- case cte-named-like-hidden: a CTE named like a table out of scope is just a name
WITH depot_keys AS (SELECT name FROM stations) SELECT * FROM depot_keys;
-- case cte-nested: a WITH inside a WITH
WITH a AS (WITH b AS (SELECT city FROM stations) SELECT DISTINCT city FROM b) SELECT count(*) FROM a;
-- case cte-in-sub: a WITH in a sub-query
SELECT (WITH q AS (SELECT max(weight) AS m FROM parcels) SELECT m FROM q) AS heaviest;
-- case cte-outer: an inner query sees the outer CTE
WITH q AS (SELECT 1 AS n) SELECT name FROM stations WHERE station_id IN (SELECT n FROM q);
-- case cte-unused: one that nobody reads
WITH q AS (SELECT * FROM parcels) SELECT 1;
-- case recursive-series: numbers
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT n FROM t;
-- case recursive-tree: the stations below the hub
WITH RECURSIVE t AS (SELECT station_id, name, 0 AS depth FROM stations WHERE parent IS NULL
  UNION ALL SELECT s.station_id, s.name, t.depth + 1 FROM stations s JOIN t ON s.parent = t.station_id) SELECT name, depth FROM t;
-- case recursive-path: with the way there
WITH RECURSIVE t(id, way) AS (SELECT station_id, ARRAY[name] FROM stations WHERE parent IS NULL
  UNION ALL SELECT s.station_id, t.way || s.name FROM stations s, t WHERE s.parent = t.id) SELECT id, way FROM t;
-- case recursive-union: without doubles
WITH RECURSIVE t(id) AS (SELECT 6 UNION SELECT s.parent FROM stations s JOIN t ON t.id = s.station_id WHERE s.parent IS NOT NULL) SELECT * FROM t;
-- case recursive-search [ordered]: in order of depth
WITH RECURSIVE t(id, parent) AS (SELECT station_id, parent FROM stations WHERE parent IS NULL
  UNION ALL SELECT s.station_id, s.parent FROM stations s JOIN t ON s.parent = t.id)
  SEARCH DEPTH FIRST BY id SET way SELECT id FROM t ORDER BY way;
-- case recursive-cycle: told when it goes round
WITH RECURSIVE t(id) AS (SELECT 1 UNION ALL SELECT id % 3 + 1 FROM t) CYCLE id SET round USING way SELECT id, round FROM t;
-- case recursive-scope: over a table that is filtered
WITH RECURSIVE t(id, n) AS (SELECT min(parcel_id), 1 FROM parcels UNION ALL
  SELECT (SELECT min(parcel_id) FROM parcels p WHERE p.parcel_id > t.id), n + 1 FROM t WHERE id IS NOT NULL AND n < 20)
SELECT id FROM t WHERE id IS NOT NULL;
-- case union: without doubles
SELECT city FROM stations UNION SELECT city FROM customers;
-- case union-all: with them
SELECT city FROM stations UNION ALL SELECT to_city FROM parcels;
-- case intersect: in both
SELECT city FROM stations INTERSECT SELECT city FROM customers;
-- case intersect-all: as often as in both
SELECT city FROM stations INTERSECT ALL SELECT city FROM customers;
-- case except: in the first only
SELECT city FROM stations EXCEPT SELECT city FROM customers WHERE segment = 'retail';
-- case except-all: one for one
SELECT city FROM stations EXCEPT ALL SELECT city FROM customers;
-- case union-nested: parentheses
(SELECT city FROM stations UNION SELECT city FROM customers) EXCEPT SELECT 'Hull';
-- case union-order [ordered]: sorted as a whole
SELECT city FROM stations UNION SELECT to_city FROM parcels ORDER BY city DESC LIMIT 3;
-- case union-limits [ordered]: sorted in parts
(SELECT name FROM stations ORDER BY 1 LIMIT 1) UNION ALL (SELECT name FROM stations ORDER BY 1 DESC LIMIT 1);
-- case union-types: numbers of two types
SELECT station_id FROM stations UNION SELECT weight FROM parcels;
-- case union-masked: a mask on one side only
SELECT email FROM customers WHERE email IS NOT NULL UNION SELECT name FROM stations;
-- case union-values: rows of one's own
SELECT name, 1 FROM stations UNION ALL VALUES ('Nowhere', 0);
-- case union-in-sub: as a sub-query
SELECT count(*) FROM (SELECT parcel_id FROM parcels UNION SELECT parcel_id FROM scans) q;
-- case union-in-cte: as a CTE
WITH q AS (SELECT city FROM stations UNION SELECT city FROM customers) SELECT count(*) FROM q;
-- case union-three: three of them with a filter each
SELECT 'p', parcel_id FROM parcels WHERE state = 'held' UNION SELECT 's', station_id FROM stations WHERE city = 'Leeds' UNION SELECT 'c', customer_id FROM customers WHERE city = 'Hull';
-- case count: of rows, values, different values
SELECT count(*), count(parent), count(DISTINCT city) FROM stations;
-- case aggregates: the usual
SELECT sum(declared), avg(declared)::numeric(12,3), min(booked), max(weight), stddev(declared)::numeric(12,3) FROM parcels;
-- case aggregate-filter: FILTER
SELECT count(*) FILTER (WHERE state = 'delivered'), sum(weight) FILTER (WHERE fragile) FROM parcels;
-- case aggregate-distinct: DISTINCT in an aggregate
SELECT sum(DISTINCT seats), string_agg(DISTINCT plate, ',' ORDER BY plate) FROM vehicles;
-- case aggregate-order: ORDER BY in an aggregate
SELECT string_agg(name, ', ' ORDER BY opened DESC), array_agg(station_id ORDER BY name) FROM stations;
-- case aggregate-bool: over truths
SELECT bool_and(ok), bool_or(ok), every(ok) FROM scans;
-- case aggregate-stat: statistics of pairs
SELECT corr(weight, declared)::numeric(6,4), regr_slope(weight, declared)::numeric(6,4) FROM parcels;
-- case ordered-set: percentiles
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY declared), mode() WITHIN GROUP (ORDER BY to_city) FROM parcels;
-- case hypothetical-set: the rank that a value would have
SELECT rank(200) WITHIN GROUP (ORDER BY declared) FROM parcels WHERE customer_id = 101;
-- case group: groups
SELECT to_city, count(*), sum(weight) FROM parcels GROUP BY to_city;
-- case group-two: by two columns
SELECT to_city, state, count(*) FROM parcels GROUP BY to_city, state;
-- case group-expression: by an expression
SELECT date_trunc('month', booked)::date, count(*) FROM parcels GROUP BY date_trunc('month', booked);
-- case group-position: by position
SELECT length(name), count(*) FROM stations GROUP BY 1;
-- case group-output: by an output name
SELECT left(name, 1) AS initial, count(*) FROM stations GROUP BY initial;
-- case group-key [rewrite]: the other columns follow from the key
SELECT s.station_id, s.name, count(k.station_id) FROM stations s LEFT JOIN stations k ON k.parent = s.station_id GROUP BY s.station_id;
-- case group-distinct: GROUP BY DISTINCT
SELECT city, count(*) FROM stations GROUP BY DISTINCT city, city;
-- case group-empty: the empty group
SELECT count(*) FROM stations GROUP BY ();
-- case group-scope [empty]: no row, no group
SELECT city, count(*) FROM customers WHERE city = 'Nowhere' GROUP BY city;
-- case having: a condition on groups
SELECT city FROM customers GROUP BY city HAVING count(*) > 1;
-- case having-alone: without groups
SELECT 'many' FROM stations HAVING count(*) > 3;
-- case rollup: sub-totals
SELECT to_city, state, count(*) FROM parcels GROUP BY ROLLUP (to_city, state);
-- case cube: every combination
SELECT city, parent IS NULL AS top, count(*) FROM stations GROUP BY CUBE (city, parent IS NULL);
-- case grouping-sets: chosen combinations
SELECT city, segment, count(*), grouping(city, segment) FROM customers GROUP BY GROUPING SETS ((city), (segment), ());
-- case grouping-mixed: mixed with a plain one
SELECT to_city, state, fragile, count(*) FROM parcels GROUP BY to_city, GROUPING SETS (state, fragile);
-- case grouping-having: with a condition
SELECT city, count(*) FROM stations GROUP BY ROLLUP (city) HAVING grouping(city) = 1 OR count(*) > 1;
-- case window-row-number: numbered within a group
SELECT name, row_number() OVER (PARTITION BY city ORDER BY opened) FROM stations;
-- case window-rank: ranks
SELECT name, rank() OVER w, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w FROM stations WINDOW w AS (ORDER BY city);
-- case window-lag: the row before and after
SELECT movement_id, lag(km) OVER (ORDER BY day), lead(km, 2, 0) OVER (ORDER BY day) FROM movements;
-- case window-sum: running totals
SELECT day, sum(km) OVER (ORDER BY day) FROM movements;
-- case window-frame: frames of rows, ranges and groups
SELECT day, avg(km) OVER (ORDER BY day ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)::numeric(9,2),
  count(*) OVER (ORDER BY day RANGE BETWEEN '40 days' PRECEDING AND CURRENT ROW),
  sum(km) OVER (ORDER BY parcel_id GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM movements;
-- case window-values: of the frame
SELECT name, first_value(name) OVER w, last_value(name) OVER w, nth_value(name, 2) OVER w FROM stations WINDOW w AS (PARTITION BY city ORDER BY opened);
-- case window-ntile: in quarters
SELECT parcel_id, ntile(4) OVER (ORDER BY parcel_id) FROM parcels;
-- case window-share: part of the whole
SELECT parcel_id, round(100 * weight / sum(weight) OVER (), 1) FROM parcels WHERE customer_id = 101;
-- case window-over-group: a window over groups
SELECT city, count(*), rank() OVER (ORDER BY count(*) DESC) FROM customers GROUP BY city;
-- case window-filter: FILTER in a window
SELECT place, count(*) FILTER (WHERE ok) OVER (PARTITION BY parcel_id) FROM scans;
-- case window-named: a window made of another
SELECT name, count(*) OVER w2 FROM stations WINDOW w AS (PARTITION BY city), w2 AS (w ORDER BY opened);
-- case window-in-sub: the first of each by number
SELECT city, name FROM (SELECT city, name, row_number() OVER (PARTITION BY city ORDER BY opened) AS n FROM stations) q WHERE n = 1;
-- case window-in-order [ordered]: in ORDER BY
SELECT name FROM stations ORDER BY row_number() OVER (ORDER BY opened DESC);
-- case report-monthly: a report as people write it
WITH months AS (SELECT date_trunc('month', day)::date AS m, sum(km) AS km FROM movements GROUP BY 1)
SELECT m, km, km - lag(km) OVER (ORDER BY m) AS more, round(km / sum(km) OVER () * 100, 1) AS share FROM months;
-- case report-customer: one over most of the scope
WITH mine AS (SELECT * FROM parcels WHERE customer_id = 101),
  seen AS (SELECT parcel_id, max(at) AS last, count(*) AS n FROM scans GROUP BY parcel_id),
  told AS (SELECT parcel_id, count(*) AS n, max(priority) AS worst FROM complaints WHERE parcel_id IS NOT NULL GROUP BY 1)
SELECT m.parcel_id, m.state, coalesce(seen.n, 0) AS scans, coalesce(told.n, 0) AS complaints, told.worst,
  CASE WHEN m.state = 'lost' OR told.worst >= 4 THEN 'urgent' WHEN seen.last IS NULL THEN 'silent' ELSE 'fine' END AS verdict
FROM mine m LEFT JOIN seen USING (parcel_id) LEFT JOIN told USING (parcel_id);
-- case report-pivot: rows to columns
SELECT to_city, count(*) FILTER (WHERE state = 'booked') AS booked, count(*) FILTER (WHERE state = 'delivered') AS delivered,
  count(*) FILTER (WHERE state NOT IN ('booked', 'delivered')) AS other FROM parcels GROUP BY to_city;
-- case report-gaps: gaps and islands
SELECT min(movement_id), max(movement_id) FROM (SELECT movement_id, movement_id - row_number() OVER (ORDER BY movement_id) AS g FROM movements) q GROUP BY g;
-- case report-median: by hand
SELECT avg(weight)::numeric(9,3) FROM (SELECT weight, row_number() OVER (ORDER BY weight) AS n, count(*) OVER () AS c FROM parcels) q WHERE n IN ((c + 1) / 2, (c + 2) / 2);
-- case report-parts: unnested, grouped, joined back
SELECT t.tag, c.name FROM customers c CROSS JOIN unnest(c.tags) AS t(tag) ORDER BY 1;
