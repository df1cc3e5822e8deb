-- Stock and orders of two tenants: keys that hold the tenant, keys that do not, and what nobody may see.
CREATE TABLE items (tenant INTEGER, sku TEXT, amount INTEGER, label TEXT, note TEXT, PRIMARY KEY (tenant, sku));
CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant INTEGER, customer INTEGER, status TEXT, note TEXT);
CREATE TABLE tags (word TEXT PRIMARY KEY, uses INTEGER, note TEXT);
CREATE TABLE prices (sku TEXT, price INTEGER);
CREATE TABLE hidden (id INTEGER PRIMARY KEY, word TEXT);
INSERT INTO items VALUES
  (1, 'a', 5, 'apples', 'CANARY_NOTE_A'), (1, 'b', 7, 'beans', 'CANARY_NOTE_B'), (1, 'c', 2000, 'corn', 'CANARY_NOTE_C'),
  (2, 'a', 7700001, 'CANARY_LABEL_A', 'CANARY_NOTE_X'), (2, 'z', 7700002, 'CANARY_LABEL_Z', 'CANARY_NOTE_Z');
INSERT INTO orders VALUES
  (10, 1, 1, 'open', 'CANARY_NOTE_10'), (11, 1, 2, 'closed', 'CANARY_NOTE_11'), (12, 1, 1, 'closed', 'CANARY_NOTE_12'),
  (13, 1, 200, 'CANARY_STATUS_13', 'CANARY_NOTE_13'), (14, 2, 3, 'CANARY_STATUS_14', 'CANARY_NOTE_14'),
  (15, 1, 2, 'open', 'CANARY_NOTE_15');
INSERT INTO tags VALUES ('new', 1, 'CANARY_NOTE_N'), ('old', 2, 'CANARY_NOTE_O');
INSERT INTO prices VALUES ('a', 3), ('b', 4), ('b', 9);
INSERT INTO hidden VALUES (1, 'CANARY_HIDDEN');
