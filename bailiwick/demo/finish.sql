-- After the rows: what a support desk looks things up by, and what the role of the gateway may reach.
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON order_items (order_id);
CREATE INDEX ON invoices (customer_id);
CREATE INDEX ON tickets (customer_id);
CREATE INDEX ON messages (ticket_id);
SELECT setval(pg_get_serial_sequence('messages', 'message_id'), (SELECT max(message_id) FROM messages));
ANALYZE;
GRANT USAGE ON SCHEMA public TO gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gateway;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO gateway;
