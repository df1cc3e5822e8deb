CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, tenant VARCHAR(20) NOT NULL, name VARCHAR(40), email VARCHAR(80), phone VARCHAR(40),
  born DATE, balance INT, ssn VARCHAR(40), note TEXT, vip TINYINT(1));
CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, tenant VARCHAR(20) NOT NULL, customer BIGINT,
  status VARCHAR(20), placed DATETIME, amount DECIMAL(10,2));
CREATE TABLE products (sku VARCHAR(20) PRIMARY KEY, name VARCHAR(40), price DOUBLE, stocked TINYINT(1), picture BLOB);
CREATE TABLE payroll (id INT PRIMARY KEY, salary TEXT);
CREATE TABLE nokey (word VARCHAR(20));
CREATE VIEW spending AS SELECT customer, tenant, sum(amount) AS total FROM orders GROUP BY customer, tenant;
INSERT INTO customers VALUES
  (1, 'acorn', 'Ann', 'ann@mail.example', '+49 30 1234567', '1991-05-06', 1249, 'CANARY_SSN_ANN', 'CANARY_NOTE_ANN', 1),
  (2, 'acorn', 'Bob', 'bob@mail.example', '555-0100', '1990-01-02', 50, 'CANARY_SSN_BOB', NULL, 0),
  (3, 'birch', 'CANARY_NAME_EVE', 'CANARY_MAIL_EVE@x.example', '7700001', '1987-03-04', 7700002, 'CANARY_SSN_EVE', 'CANARY_X_Y', 1),
  (4, 'Acorn', 'CANARY_NAME_CASE', 'CANARY_MAIL_CASE@x.example', '7700007', '1987-03-04', 7700008, 'CANARY_SSN_CASE', 'x', 1),
  (5, 'acorn ', 'CANARY_NAME_BLANK', 'CANARY_MAIL_BLANK@x.example', '7700009', '1987-03-04', 7700010, 'CANARY_SSN_BLANK', 'x', 1),
  (6, 'äcorn', 'CANARY_NAME_UMLAUT', 'CANARY_MAIL_UMLAUT@x.example', '7700011', '1987-03-04', 7700012, 'CANARY_SSN_UMLAUT', 'x', 1),
  (200, 'acorn', 'CANARY_NAME_FAR', 'CANARY_MAIL_FAR@x.example', '7700003', '1987-05-06', 7700004, 'CANARY_SSN_FAR', '{', 1);
INSERT INTO orders VALUES
  (10, 'acorn', 1, 'open', '2026-01-01 10:00:00', 9.5), (11, 'acorn', 2, 'closed', '2026-02-01 00:00:00', 3),
  (12, 'birch', 3, 'CANARY_ORDER_EVE', '1987-01-01', 7700005), (13, 'acorn', 200, 'CANARY_ORDER_FAR', '1987-02-01', 7700006),
  (14, 'acorn', 1, 'secret', '2026-03-01 00:00:00', 4), (15, 'acorn', 1, 'open', '2026-03-02 00:00:00', NULL);
INSERT INTO products VALUES ('a-1', 'Apple', 0.5, 1, x'00ff'), ('b-2', 'Bread', 2.25, 0, NULL);
INSERT INTO payroll VALUES (1, 'CANARY_PAY_ROLL');
INSERT INTO nokey VALUES ('one');
CREATE TABLE careless (id INT PRIMARY KEY, word VARCHAR(20)) ENGINE = MyISAM;
INSERT INTO careless VALUES (1, 'one');
