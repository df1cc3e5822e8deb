-- What the session of the corpus may read, written by hand from the policy alone: a third opinion beside both depths.
-- Statements that only read are run here too, by a superuser whose search_path is this schema.
CREATE SCHEMA truth;
CREATE VIEW truth.stations AS SELECT * FROM public.stations;
CREATE VIEW truth.tariffs AS SELECT * FROM public.tariffs;
CREATE VIEW truth.vehicles AS SELECT vehicle_id, depot, plate, seats FROM public.vehicles WHERE depot = 1;
CREATE VIEW truth.movements AS SELECT * FROM public.movements WHERE depot = 1;
CREATE VIEW truth.city_totals AS SELECT city, parcels FROM public.city_totals WHERE city IN ('Leeds', 'York', 'Hull');
CREATE VIEW truth.scans AS SELECT scan_id, depot, parcel_id, at, place, temp, ok FROM public.scans
  WHERE depot = 1 AND at > now() - interval '90 days' AND at <= now();
CREATE VIEW truth.customers AS SELECT customer_id,
    CASE WHEN true THEN depot END AS depot, name,
    CASE WHEN segment = 'press' THEN email WHEN customer_id = 101 THEN 'a***@example.com' END AS email,
    CASE WHEN segment = 'press' THEN phone
      WHEN customer_id = 101 THEN repeat('*', length(phone) - 4) || right(phone, 4) END AS phone,
    city, segment, CASE WHEN customer_id = 101 THEN round(credit, -2)::numeric(12,2) END AS credit,
    CASE WHEN customer_id = 101 THEN date_trunc('year', born)::date END AS born,
    CASE WHEN customer_id = 101 THEN joined END AS joined, CASE WHEN customer_id = 101 THEN tags END AS tags,
    CASE WHEN customer_id = 101 THEN prefs END AS prefs, CASE WHEN customer_id = 101 THEN notes END AS notes
  FROM public.customers WHERE depot = 1 AND segment <> 'internal';
CREATE VIEW truth.parcels AS SELECT parcel_id,
    CASE WHEN own THEN depot END AS depot, CASE WHEN own THEN customer_id END AS customer_id, to_city, state, weight,
    CASE WHEN own THEN declared END AS declared, CASE WHEN own THEN fragile END AS fragile,
    CASE WHEN own THEN booked END AS booked, CASE WHEN own THEN delivered END AS delivered,
    CASE WHEN own THEN dims END AS dims, CASE WHEN own THEN contents END AS contents, CASE WHEN own THEN route END AS route,
    CASE WHEN own AND NOT fragile THEN note END AS note
  FROM (SELECT *, customer_id = 101 AS own FROM public.parcels) p
  WHERE depot = 1 AND declared <= 9000 AND (own OR state = 'lost');
CREATE VIEW truth.complaints AS
  SELECT complaint_id, depot, customer_id, parcel_id, subject, body, state, priority, opened, answer
  FROM public.complaints WHERE depot = 1 AND customer_id = 101 AND priority <= 7;
CREATE VIEW truth.labels AS SELECT customer_id, label, depot, colour, printed FROM public.labels
  WHERE depot = 1 AND customer_id = 101;
CREATE VIEW truth.invoices AS SELECT invoice_id, customer_id, (round(amount / 10) * 10)::numeric(12,2) AS amount, due, paid,
    repeat('*', length(iban) - 4) || right(iban, 4) AS iban, lines
  FROM public.invoices WHERE depot = 1 AND customer_id IN (101, 103);
