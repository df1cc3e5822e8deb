-- A database that holds only what the corpus' policy shows: what a statement answers here it answers through the gateway.
CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT, email TEXT, region TEXT);
CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER, status TEXT, created_at TIMESTAMP);
CREATE TABLE tickets (ticket_id INTEGER PRIMARY KEY, customer_id INTEGER, subject TEXT, body TEXT, status TEXT,
  assignee TEXT, tier INTEGER);
CREATE TABLE kb_articles (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
INSERT INTO customers VALUES (4521,'Xenia Marsh','x***@example.com','eu-west');
INSERT INTO orders VALUES
 (90001,4521,'shipped','2026-01-10 10:00:00'), (90002,4521,'pending','2026-02-11 11:00:00'),
 (90003,4521,'shipped','2026-03-12 12:00:00'), (90004,4521,'returned','2026-03-13 13:00:00');
INSERT INTO tickets VALUES
 (501,4521,'Cannot log in','Reset link expired','open','pat',1),
 (502,4521,'Invoice copy','Please resend the March invoice','pending','sam',1),
 (503,4521,'Change address','New address on file','closed',NULL,1);
INSERT INTO kb_articles VALUES
 (1,'Reset your password','Open settings, choose security, press reset.'),
 (2,'Track an order','Use the order page to see the shipping state.'),
 (3,'Return policy','You can return an item within 30 days.');
