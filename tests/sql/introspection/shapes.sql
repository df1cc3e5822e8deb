-- case: types with the element of each, by the function that reads an array
SELECT n.nspname, t.oid, t.typname, e.oid AS element FROM pg_type t LEFT JOIN pg_proc p ON p.oid = t.typreceive LEFT JOIN pg_type e ON e.oid = CASE WHEN p.proname = 'array_recv' THEN t.typelem WHEN t.typtype = 'd' THEN t.typbasetype END JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype IN ('b', 'e', 'd') OR p.proname = 'array_recv' ORDER BY 2;
-- case: functions that types are made of, by number
SELECT t.typname, p.proname FROM pg_type t JOIN pg_proc p ON t.typinput = p.oid OR p.oid = t.typoutput;
-- case: a function shown by name, as a number
SELECT typname, typinput::oid, typreceive::int8 FROM pg_catalog.pg_type WHERE typreceive::int4 > 0;
-- case: types among several
SELECT attname FROM pg_attribute WHERE attrelid = 'customers'::regclass AND atttypid = ANY ('{int, int8, character varying}'::regtype[]);
-- case: definitions of constraints beside their relations
SELECT r.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class r ON r.oid = k.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace WHERE k.contype IN ('p', 'u', 'f');
-- case: relations with sizes, comments and counters
SELECT c.relname, pg_size_pretty(pg_total_relation_size(c.oid)), pg_relation_size(c.oid), pg_indexes_size(c.oid), pg_stat_get_live_tuples(c.oid), pg_stat_get_dead_tuples(c.oid), obj_description(c.oid), s.n_live_tup FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_user_tables s ON s.schemaname = n.nspname AND s.relname = c.relname WHERE c.relkind IN ('r', 'v', 'm');
-- case: comments by the statistics of relations
SELECT c.column_name, d.description FROM pg_statio_all_tables s JOIN pg_description d ON d.objoid = s.relid JOIN information_schema.columns c ON c.ordinal_position = d.objsubid AND c.table_name = s.relname;
-- case: scans of indexes
SELECT x.relname, pg_stat_get_numscans(i.indexrelid) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid;
-- case: the owner as a user
SELECT c.relname, u.usename, u.usesuper FROM pg_class c LEFT JOIN pg_user u ON u.usesysid = c.relowner;
-- case: sources of functions
SELECT p.proname, CASE WHEN l.lanname = 'internal' THEN p.prosrc ELSE pg_get_functiondef(p.oid) END FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace LEFT JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname = 'public';
-- case: whether columns can be changed
SELECT a.attname, pg_column_is_updatable(c.oid, a.attnum, false) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relname = 'customers';
-- case: one of several privileges
SELECT c.relname FROM pg_class c WHERE has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE') AND has_any_column_privilege(c.oid, 'select,insert');
-- case: labels, foreign servers, default privileges, settings of roles
SELECT n.nspname, l.label, s.srvname, w.fdwname, a.defaclacl, r.setconfig FROM pg_namespace n LEFT JOIN pg_seclabels l ON l.objoid = n.oid LEFT JOIN (pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw) ON s.srvowner = n.nspowner LEFT JOIN pg_default_acl a ON a.defaclnamespace = n.oid LEFT JOIN pg_db_role_setting r ON r.setrole = n.nspowner;
-- case: time zones
SELECT name, utc_offset FROM pg_timezone_names WHERE name = 'Europe/Berlin' UNION ALL SELECT abbrev, utc_offset FROM pg_timezone_abbrevs WHERE abbrev = 'UTC';
-- case: privileges
SELECT t.grantee, t.table_name, t.privilege_type, c.column_name FROM information_schema.table_privileges t JOIN information_schema.column_privileges c USING (table_schema, table_name) WHERE t.grantee = current_user;
-- case: grants to roles
SELECT g.table_name, c.column_name FROM information_schema.role_table_grants g JOIN information_schema.role_column_grants c USING (table_name) JOIN information_schema.enabled_roles r ON r.role_name = g.grantee LEFT JOIN information_schema.applicable_roles a ON a.role_name = r.role_name;
-- case: elements of arrays
SELECT c.column_name, e.udt_name FROM information_schema.columns c JOIN information_schema.element_types e ON (c.table_catalog, c.table_schema, c.table_name, 'TABLE', c.dtd_identifier) = (e.object_catalog, e.object_schema, e.object_name, e.object_type, e.collection_type_identifier) WHERE c.table_schema = 'public';
-- case: domains, and the tables of constraints
SELECT d.domain_name, d.data_type, u.constraint_name FROM information_schema.domains d LEFT JOIN information_schema.constraint_table_usage u ON u.table_schema = d.domain_schema WHERE d.domain_schema = 'public';
-- case: the usual search path of a driver
SET search_path = "$user", public;
