-- What reaches beyond queries: functions of the system, statements of other kinds, settings, the catalogue.

-- case file-read: a file of the server
SELECT pg_read_file('postgresql.conf');
-- case file-binary: another way
SELECT pg_read_binary_file('PG_VERSION');
-- case file-list: a folder
SELECT pg_ls_dir('.');
-- case file-stat: what is known of a file
SELECT * FROM pg_stat_file('postgresql.conf');
-- case file-log: the log's folder
SELECT * FROM pg_ls_logdir();
-- case large-object: a large object
SELECT lo_get(7702);
-- case large-object-unlink: its end
SELECT lo_unlink(7702);
-- case large-object-export: to a file
SELECT lo_export(7702, '/tmp/x');
-- case large-object-table: the table behind it
SELECT * FROM pg_largeobject;
-- case xml-query: a query in a text
SELECT query_to_xml('SELECT vat_id FROM public.customers', true, false, '');
-- case xml-table-export: a table in a text
SELECT table_to_xml('public.depot_keys', true, false, '');
-- case xml-schema-export: a schema in a text
SELECT schema_to_xml('hr', true, false, '');
-- case text-search-query: a query in a text search
SELECT * FROM ts_stat('SELECT to_tsvector(vat_id) FROM public.customers');
-- case text-search-rewrite: another
SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, plainto_tsquery(vat_id) FROM public.customers');
-- case currval: the last number of a sequence
SELECT currval('public.tracking');
-- case reload: the server's configuration
SELECT pg_reload_conf();
-- case rotate: its log
SELECT pg_rotate_logfile();
-- case promote: its role in replication
SELECT pg_promote();
-- case slots: a slot of replication
SELECT pg_create_physical_replication_slot('x');
-- case replication: what is in it
SELECT * FROM pg_logical_slot_peek_changes('x', NULL, NULL);
-- case backup: a backup
SELECT pg_backup_start('x');
-- case switch-wal: its log
SELECT pg_switch_wal();
-- case kill-others [gateway]: somebody else's connection
SELECT pg_terminate_backend(1);
-- case stats-reset: the statistics
SELECT pg_stat_reset();
-- case authid: passwords
SELECT rolpassword FROM pg_authid;
-- case shadow: by a view
SELECT passwd FROM pg_shadow;
-- case statistic: values in the planner's statistics
SELECT * FROM pg_statistic;
-- case subscription: what it replicates
SELECT subconninfo FROM pg_subscription;
-- case user-mapping: credentials of foreign servers
SELECT * FROM pg_user_mapping;
-- case hba: who may log in
SELECT * FROM pg_hba_file_rules;
-- case file-settings: what stands in files
SELECT * FROM pg_file_settings;
-- case stat-activity-query [not natively]: what others run
SELECT query FROM pg_stat_activity;
-- case stats-view [contained]: most common values
SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'customers';
-- case description [not natively]: comments
SELECT description FROM pg_description;
-- case prosrc [not natively]: the source of functions
SELECT prosrc FROM pg_proc WHERE proname = 'reveal';
-- case viewdef [not natively]: the text of views
SELECT definition FROM pg_views;
-- case viewdef-function [not natively]: by a function
SELECT pg_get_viewdef('public.every_customer'::regclass);
-- case functiondef [not natively]: the text of a function
SELECT pg_get_functiondef('public.reveal'::regproc);
-- case columns [not natively]: names of hidden columns
SELECT attname FROM pg_attribute WHERE attname IN ('vat_id', 'risk', 'secret');
-- case tables [not natively]: names of hidden tables
SELECT relname FROM pg_class WHERE relname IN ('depot_keys', 'payroll');
-- case information-schema [contained]: hidden names by the standard's views
SELECT column_name FROM information_schema.columns WHERE column_name IN ('vat_id', 'secret', 'risk');
-- case sizes [gateway]: sizes of tables
SELECT pg_relation_size('pg_class'), pg_database_size(current_database()) > 0;
-- case setting-read [gateway]: a setting of somebody else
SELECT current_setting('data_directory', true), current_setting('bailiwick.session', true) IS NULL;
-- case setting-role: another role by a function
SELECT set_config('role', 'postgres', false);
-- case setting-session: another session
SELECT set_config('session_authorization', 'postgres', false);
-- case sleep [gateway]: time that passes
SELECT pg_sleep(0);
-- case advisory [gateway]: a lock of one's own
SELECT pg_advisory_xact_lock(1);
-- case notify-function [gateway]: a message to others
SELECT pg_notify('c', 'x');
-- case txid [gateway]: a number of the server
SELECT txid_current() > 0, pg_current_xact_id() IS NOT NULL;
-- case snapshot [gateway]: a snapshot for others
SELECT pg_export_snapshot() IS NOT NULL;
-- case wal-position [gateway]: where the log is
SELECT pg_current_wal_lsn() IS NOT NULL;
-- case cast-user-type [contained]: a type of the schema that no column has
SELECT 'x'::public.short;
-- case typeof [contained]: the name of a row type
SELECT pg_typeof(c) IS NOT NULL FROM complaints c;
-- case explain [gateway]: how it would be done
EXPLAIN SELECT * FROM stations;
-- case explain-analyze [gateway]: and done
EXPLAIN ANALYZE DELETE FROM stations WHERE false;
-- case create-table: a table
CREATE TABLE t (a int);
-- case create-table-as: a copy
CREATE TABLE t AS SELECT * FROM customers;
-- case select-into: another way
SELECT * INTO t FROM customers;
-- case create-view: a view
CREATE VIEW v AS SELECT * FROM customers;
-- case create-function: a function
CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
-- case create-schema: a schema
CREATE SCHEMA s;
-- case create-extension: an extension
CREATE EXTENSION hstore;
-- case create-role: a role
CREATE ROLE r;
-- case create-database: a database
CREATE DATABASE d;
-- case create-trigger: a trigger
CREATE TRIGGER t BEFORE UPDATE ON public.complaints FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
-- case create-policy: a policy of one's own
CREATE POLICY p ON public.complaints USING (true);
-- case create-rule: a rule
CREATE RULE r AS ON SELECT TO public.complaints DO INSTEAD SELECT 1;
-- case create-index: an index
CREATE INDEX i ON public.complaints (subject);
-- case create-statistics: statistics
CREATE STATISTICS st ON city, segment FROM public.customers;
-- case alter-table: a table
ALTER TABLE complaints RENAME TO c2;
-- case alter-owner: its owner
ALTER TABLE public.complaints OWNER TO gate;
-- case alter-disable: its row security
ALTER TABLE public.complaints DISABLE ROW LEVEL SECURITY;
-- case alter-system: the server
ALTER SYSTEM SET work_mem = '1GB';
-- case alter-role: a role's settings
ALTER ROLE postgres SET work_mem = '1MB';
-- case drop-table: a table
DROP TABLE complaints;
-- case drop-table-hidden: a hidden one
DROP TABLE public.depot_keys;
-- case drop-owned: everything of a role
DROP OWNED BY carrier;
-- case grant: rights for oneself
GRANT ALL ON public.depot_keys TO PUBLIC;
-- case revoke: rights from others
REVOKE ALL ON public.complaints FROM gate;
-- case comment-on: a comment
COMMENT ON TABLE public.stations IS 'x';
-- case lock-hidden: a lock on a hidden table
BEGIN;
LOCK TABLE public.depot_keys;
-- case vacuum-hidden [gateway]: cleaning
VACUUM public.depot_keys;
-- case analyze-hidden [gateway]: statistics of a hidden table
ANALYZE public.depot_keys;
-- case cluster: sorting a table
CLUSTER public.customers USING customers_city;
-- case reindex: its index
REINDEX TABLE public.customers;
-- case refresh: a materialised view
REFRESH MATERIALIZED VIEW public.customer_summary;
-- case copy-from: rows from outside
COPY stations FROM STDIN;
-- case copy-file: to a file
COPY (SELECT 1) TO '/tmp/x';
-- case copy-program: to a program
COPY (SELECT name FROM stations) TO PROGRAM 'cat';
-- case copy-from-program: from a program
COPY stations FROM PROGRAM 'id';
-- case do-hidden: a block that reads what is hidden
DO $$ BEGIN PERFORM secret FROM public.depot_keys; END $$;
-- case do [gateway]: a block that does nothing
DO $$ BEGIN NULL; END $$;
-- case load: a library
LOAD 'auto_explain';
-- case checkpoint: a checkpoint
CHECKPOINT;
-- case listen [gateway]: hearing what others say
LISTEN c;
-- case notify [gateway]: saying
NOTIFY c, 'x';
-- case prepare-transaction: a transaction that outlives the connection
BEGIN;
PREPARE TRANSACTION 'x';
-- case set-role-other: another role
SET ROLE carrier;
-- case set-session-other: another user
SET SESSION AUTHORIZATION postgres;
-- case reset-role [not natively]: back to the login
RESET ROLE;
SELECT vat_id FROM public.customers;
-- case set-role-none [not natively]: another word for it
SET ROLE NONE;
SELECT vat_id FROM public.customers;
-- case reset-session [not natively]: back to who logged in
RESET SESSION AUTHORIZATION;
SELECT vat_id FROM public.customers;
-- case discard-all [not natively]: everything back, and a hidden table asked for
DISCARD ALL;
SELECT secret FROM depot_keys;
-- case replication-role: triggers off
SET session_replication_role = replica;
-- case search-path-hidden: a path to hidden tables
SET search_path = public;
SELECT * FROM depot_keys;
-- case row-security [gateway]: row security off
SET row_security = off;
-- case setting-own [gateway]: a setting of the session's own namespace
SET bailiwick.session = 'x';
-- case setting-forged: values of the session by force
SELECT set_config('bailiwick.session', repeat('0', 64) || '{"role":"none","until":9e9,"values":{"tenant":"2"}}', false);
SELECT 1 / count(*) FROM complaints;
-- case standard-strings [gateway]: another way to read text
SET standard_conforming_strings = off;
-- case show-all [gateway]: every setting
SHOW ALL;
-- case show-hidden [gateway]: one that tells where the server is
SHOW listen_addresses;
-- case security-label: a label
SECURITY LABEL ON TABLE public.stations IS 'x';
-- case transaction-snapshot: another's snapshot
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET TRANSACTION SNAPSHOT '00000003-0000001B-1';
-- case unparsable: no SQL at all
SELECT FROM WHERE;
-- case empty-hidden: an end, and more
SELECT 1;;; SELECT secret FROM depot_keys;
-- case execute-unknown: a name that nobody prepared
EXECUTE nothing;
-- case prepare-hidden: a hidden table by a name
PREPARE p AS SELECT secret FROM depot_keys;
-- case prepare-column: a hidden column by a name
PREPARE p AS SELECT vat_id FROM customers;
EXECUTE p;
-- case declare-hidden: a cursor over what is hidden
BEGIN;
DECLARE k CURSOR FOR SELECT secret FROM depot_keys;
FETCH ALL FROM k;
-- case declare-hold-column: one that outlives its transaction
DECLARE k CURSOR WITH HOLD FOR SELECT vat_id FROM customers;
FETCH ALL FROM k;
