CREATE TABLE customers (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, name TEXT, email TEXT, phone TEXT,
  born DATE, balance INTEGER, ssn TEXT, note TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, customer INTEGER REFERENCES customers(id),
  status TEXT, placed DATETIME, amount NUMERIC);
CREATE INDEX orders_status ON orders(status);
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, price REAL, stocked BOOLEAN, picture BLOB);
CREATE TABLE payroll (id INTEGER PRIMARY KEY, salary TEXT);
CREATE TABLE audited (id INTEGER PRIMARY KEY, what TEXT);
CREATE TRIGGER audited_changes AFTER UPDATE ON audited BEGIN INSERT INTO shelves VALUES (1, 'a-1'), (2, 'a-1');
INSERT INTO keyed VALUES ('one');
INSERT INTO payroll (salary) VALUES (new.what); END;
CREATE TABLE shelves (id INTEGER PRIMARY KEY, sku TEXT REFERENCES products(sku) ON DELETE CASCADE);
CREATE TABLE keyed (word TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE VIEW spending AS SELECT customer, tenant, sum(amount) AS total FROM orders GROUP BY customer, tenant;
INSERT INTO customers VALUES
  (1, 1, 'Ann', 'ann@mail.example', '+49 30 1234567', '1991-05-06', 1249, 'CANARY_SSN_ANN', 'CANARY_NOTE_ANN'),
  (2, 1, 'Bob', 'bob@mail.example', '555-0100', '1990-01-02', 50, 'CANARY_SSN_BOB', NULL),
  (3, 2, 'CANARY_NAME_EVE', 'CANARY_MAIL_EVE@x.example', '7700001', '1987-03-04', 7700002, 'CANARY_SSN_EVE', 'CANARY_X_Y'),
  (200, 1, 'CANARY_NAME_FAR', 'CANARY_MAIL_FAR@x.example', '7700003', '1987-05-06', 7700004, 'CANARY_SSN_FAR', '{');
INSERT INTO orders VALUES
  (10, 1, 1, 'open', '2026-01-01 10:00:00', 9.5), (11, 1, 2, 'closed', '2026-02-01 00:00:00', 3),
  (12, 2, 3, 'CANARY_ORDER_EVE', '1987-01-01', 7700005), (13, 1, 200, 'CANARY_ORDER_FAR', '1987-02-01', 7700006),
  (14, 1, 1, 'secret', '2026-03-01 00:00:00', 4), (15, 1, 1, 'open', '2026-03-02 00:00:00', NULL);
INSERT INTO products VALUES ('a-1', 'Apple', 0.5, 1, x'00ff'), ('b-2', 'Bread', 2.25, 0, NULL);
INSERT INTO shelves VALUES (1, 'a-1'), (2, 'a-1');
INSERT INTO keyed VALUES ('one');
INSERT INTO payroll VALUES (1, 'CANARY_PAY_ROLL');
INSERT INTO audited VALUES (1, 'first');
