CREATE TABLE customers (id BIGINT PRIMARY KEY, tenant INTEGER NOT NULL, name VARCHAR COLLATE NOCASE, email VARCHAR,
  phone VARCHAR, born DATE, balance BIGINT, ssn VARCHAR, note VARCHAR);
CREATE SEQUENCE order_ids START 16;
CREATE TABLE orders (id BIGINT PRIMARY KEY DEFAULT nextval('order_ids'), tenant INTEGER NOT NULL, customer BIGINT,
  status VARCHAR CHECK (length(status) < 20), placed TIMESTAMP, amount DECIMAL(18,2));
CREATE TABLE products (sku VARCHAR PRIMARY KEY, name VARCHAR, price DOUBLE, stocked BOOLEAN, picture BLOB,
  tags VARCHAR[], size STRUCT(high INTEGER, wide INTEGER), checked TIMESTAMPTZ, grams HUGEINT, word ENUM('a', 'b'));
CREATE TABLE payroll (id BIGINT PRIMARY KEY, salary VARCHAR);
CREATE VIEW spending AS SELECT customer, tenant, sum(amount) AS total FROM orders GROUP BY customer, tenant;
CREATE MACRO lower(x) AS (SELECT any_value(salary) FROM payroll);
CREATE MACRO all_pay() AS TABLE SELECT * FROM payroll;
INSERT INTO customers VALUES
  (1, 1, 'Ann', 'ann@mail.example', '+49 30 1234567', '1991-05-06', 1249, 'CANARY_SSN_ANN', 'CANARY_NOTE_ANN'),
  (2, 1, 'Bob', 'bob@mail.example', '555-0100', '1990-01-02', 50, 'CANARY_SSN_BOB', NULL),
  (3, 2, 'CANARY_NAME_EVE', 'CANARY_MAIL_EVE@x.example', '7700001', '1987-03-04', 7700002, 'CANARY_SSN_EVE', 'CANARY_X_Y'),
  (200, 1, 'CANARY_NAME_FAR', 'CANARY_MAIL_FAR@x.example', '7700003', '1987-05-06', 7700004, 'CANARY_SSN_FAR', '{');
INSERT INTO orders VALUES
  (10, 1, 1, 'open', '2026-01-01 10:00:00', 9.5), (11, 1, 2, 'closed', '2026-02-01 00:00:00', 3),
  (12, 2, 3, 'CANARY_ORDER_EVE', '1987-01-01', 7700005), (13, 1, 200, 'CANARY_ORDER_FAR', '1987-02-01', 7700006),
  (14, 1, 1, 'secret', '2026-03-01 00:00:00', 4), (15, 1, 1, 'open', '2026-03-02 00:00:00', NULL);
INSERT INTO products VALUES
  ('a-1', 'Apple', 0.5, true, '\x00\xff'::BLOB, ['red', 'round'], {'high': 1, 'wide': 2}, '2026-01-01 00:00:00+02', 170141183460469231731687303715884105727, 'a'),
  ('b-2', 'Bread', 2.25, false, NULL, NULL, NULL, NULL, 1, NULL);
INSERT INTO payroll VALUES (1, 'CANARY_PAY_ROLL');
COPY (SELECT i AS id, i % 2 + 1 AS tenant, CASE WHEN i % 2 = 0 THEN 'north' ELSE 'CANARY_SITE_' || i END AS site
  FROM range(10) AS t(i)) TO '{folder}/visits-1.parquet';
COPY (SELECT i AS id, 2 AS tenant, 'CANARY_SITE_' || i AS site FROM range(10, 20) AS t(i)) TO '{folder}/visits-2.parquet';
COPY (SELECT * FROM (VALUES ('a-1', 1.5, DATE '2026-01-01'), ('b-2', 2.5, NULL)) AS t(sku, price, since)) TO '{folder}/prices.csv';
COPY (SELECT 'CANARY_FILE_OTHER' AS word) TO '{folder}/other.csv';
