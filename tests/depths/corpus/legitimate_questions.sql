-- Questions as people and text-to-SQL models ask them, over most of the scope at once.

-- case ask-late: parcels that are under way for long
SELECT parcel_id, to_city, date '2026-11-01' - booked AS days FROM parcels WHERE state IN ('booked', 'moving', 'held') ORDER BY days DESC;
-- case ask-last-scan: where each parcel was seen last
SELECT p.parcel_id, (SELECT s.place FROM scans s WHERE s.parcel_id = p.parcel_id ORDER BY s.at DESC LIMIT 1) AS last FROM parcels p;
-- case ask-never-scanned: those that nobody saw
SELECT parcel_id FROM parcels p WHERE NOT EXISTS (SELECT 1 FROM scans s WHERE s.parcel_id = p.parcel_id);
-- case ask-busiest: the busiest town
SELECT city FROM city_totals WHERE parcels = (SELECT max(parcels) FROM city_totals);
-- case ask-cheapest-tariff: what a parcel costs
SELECT p.parcel_id, min(t.price) AS price FROM parcels p JOIN tariffs t ON t.zone = 'home' AND t.upto >= p.weight GROUP BY p.parcel_id;
-- case ask-tariff-lateral: the same by the nearest step
SELECT p.parcel_id, t.upto, t.price FROM parcels p LEFT JOIN LATERAL (SELECT upto, price FROM tariffs
  WHERE zone = 'far' AND upto >= p.weight ORDER BY upto LIMIT 1) t ON true;
-- case ask-cold: temperatures that were too low or not measured
SELECT parcel_id, place, coalesce(temp::text, 'not measured') FROM scans WHERE temp IS NULL OR temp < 0;
-- case ask-route-length: how far each parcel went
SELECT parcel_id, sum(km) AS km, count(*) AS legs FROM movements GROUP BY parcel_id HAVING sum(km) > 100;
-- case ask-by-quarter: kilometres by quarter
SELECT to_char(day, 'YYYY"Q"Q') AS quarter, sum(km) FROM movements GROUP BY 1;
-- case ask-year-on-year: this year against the last
SELECT sum(km) FILTER (WHERE day >= '2026-01-01') AS this, sum(km) FILTER (WHERE day < '2026-01-01') AS before FROM movements;
-- case ask-top-per-city: the first customer of each town
SELECT DISTINCT ON (city) city, name FROM customers ORDER BY city, name;
-- case ask-share: a share of all
SELECT segment, count(*), round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent FROM customers GROUP BY segment;
-- case ask-unpaid: bills that are not paid, and how long
SELECT invoice_id, amount, date '2026-12-31' - due AS days FROM invoices WHERE NOT paid;
-- case ask-bill-lines: how many lines a bill has
SELECT invoice_id, (length(lines) - length(replace(lines, '<line ', ''))) / length('<line ') AS n FROM invoices WHERE lines IS NOT NULL;
-- case ask-contact: whom to ring
SELECT name, coalesce(phone, 'unknown') FROM customers WHERE segment = 'press' OR customer_id = 101;
-- case ask-same-city: customers who live where a station is
SELECT c.name, string_agg(s.name, ', ' ORDER BY s.name) FROM customers c JOIN stations s USING (city) GROUP BY c.customer_id, c.name;
-- case ask-complaints-open: open complaints by urgency
SELECT complaint_id, subject, CASE WHEN priority >= 4 THEN 'high' WHEN priority >= 2 THEN 'middle' ELSE 'low' END FROM complaints WHERE state = 'open';
-- case ask-complaints-parcels: with the parcel that they are about
SELECT k.subject, p.to_city, p.state FROM complaints k LEFT JOIN parcels p USING (parcel_id);
-- case ask-histogram: how heavy parcels are
SELECT floor(weight) AS kilos, repeat('#', count(*)::int) FROM parcels GROUP BY 1;
-- case ask-volume: how large
SELECT parcel_id, dims[1] * dims[2] * dims[3] / 1000.0 AS litres FROM parcels WHERE customer_id = 101;
-- case ask-contents: what is in them
SELECT contents ->> 'kind' AS kind, sum((contents ->> 'count')::int) FROM parcels WHERE customer_id = 101 GROUP BY 1;
-- case ask-parts: parts in parts
SELECT p.parcel_id, part FROM parcels p, jsonb_array_elements_text(p.contents -> 'parts') AS part WHERE p.contents ? 'parts';
-- case ask-languages: preferences
SELECT prefs ->> 'lang', (prefs -> 'hours' ->> 0)::int, prefs @> '{"sms": true}' FROM customers WHERE prefs IS NOT NULL;
-- case ask-tag-counts: how often a tag is given
SELECT tag, count(*) FROM customers, unnest(tags) AS tag GROUP BY tag;
-- case ask-hierarchy: the chain of stations above one
WITH RECURSIVE up AS (SELECT station_id, name, parent FROM stations WHERE name = 'Quay'
  UNION ALL SELECT s.station_id, s.name, s.parent FROM stations s JOIN up ON up.parent = s.station_id) SELECT string_agg(name, ' < ') FROM up;
-- case ask-distance: which stations are near
SELECT a.name, b.name, round((a.spot <-> b.spot)::numeric, 2) FROM stations a, stations b WHERE a.station_id < b.station_id AND a.spot <-> b.spot < 4;
-- case ask-opened-between: between two days
SELECT name FROM stations WHERE opened BETWEEN '2005-01-01' AND '2015-12-31';
-- case ask-anniversaries: in which month
SELECT to_char(opened, 'MM-DD'), name FROM stations WHERE extract(month FROM opened) BETWEEN 4 AND 6;
-- case ask-pairs: pairs of parcels to one town
SELECT a.parcel_id, b.parcel_id FROM parcels a JOIN parcels b ON a.to_city = b.to_city AND a.parcel_id < b.parcel_id;
-- case ask-rank-weight [ordered]: the three heaviest
SELECT parcel_id, weight, dense_rank() OVER (ORDER BY weight DESC) AS place FROM parcels ORDER BY weight DESC, parcel_id LIMIT 3;
-- case ask-page-two [ordered]: the second page by key
SELECT parcel_id, to_city FROM parcels WHERE parcel_id > 1003 ORDER BY parcel_id LIMIT 3;
-- case ask-fleet: seats of the fleet, children included
SELECT count(*), sum(seats), max(plate) FROM vehicles;
-- case ask-any-lost: yes or no
SELECT EXISTS (SELECT FROM parcels WHERE state = 'lost' AND customer_id = 101) AS lost, NOT EXISTS (SELECT FROM complaints WHERE state = 'closed') AS quiet;
-- case ask-several: several counts in one row
SELECT (SELECT count(*) FROM parcels) AS parcels, (SELECT count(*) FROM complaints) AS complaints, (SELECT count(*) FROM scans) AS scans;
-- case ask-search: one word everywhere
SELECT 'parcel' AS kind, parcel_id AS id FROM parcels WHERE note ILIKE '%seen%' UNION ALL
  SELECT 'complaint', complaint_id FROM complaints WHERE subject ILIKE '%seen%' OR body ILIKE '%never%';
-- case ask-null-safe: rows that agree where both may be unknown
SELECT a.parcel_id, b.parcel_id FROM parcels a JOIN parcels b ON a.note IS NOT DISTINCT FROM b.note AND a.parcel_id < b.parcel_id;
-- case ask-cumulative: what came together up to each day
SELECT booked, sum(declared) OVER (ORDER BY booked, parcel_id) FROM parcels WHERE customer_id = 101;
-- case ask-sessions: scans that belong together by time
SELECT parcel_id, count(*) FROM (SELECT parcel_id, at - lag(at) OVER (PARTITION BY parcel_id ORDER BY at) < interval '2 days' AS same FROM scans) q WHERE same GROUP BY 1;
