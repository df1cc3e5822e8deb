"""How a database describes the native depth of a mount: the catalogue queries behind `drift`.

Every catalogue that is read here is open to any role, so the gateway's own login can look, also on a standby.
"""

ROLES = """
SELECT r.rolname::text AS role, pg_catalog.concat_ws(', ',
    CASE WHEN r.rolcanlogin THEN 'login' END, CASE WHEN r.rolinherit THEN 'inherit' END,
    CASE WHEN r.rolsuper THEN 'superuser' END, CASE WHEN r.rolcreaterole THEN 'createrole' END,
    CASE WHEN r.rolcreatedb THEN 'createdb' END, CASE WHEN r.rolreplication THEN 'replication' END,
    CASE WHEN r.rolbypassrls THEN 'bypassrls' END) AS attributes,
  COALESCE(pg_catalog.strpos(pg_catalog.shobj_description(r.oid, 'pg_authid'), $2) > 0, FALSE) AS marked,
  COALESCE((SELECT pg_catalog.string_agg(c, ', ' ORDER BY c) FROM pg_catalog.pg_db_role_setting AS s,
    pg_catalog.unnest(s.setconfig) AS c WHERE s.setrole = r.oid), '') AS settings
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = ANY ($1) OR pg_catalog.strpos(pg_catalog.shobj_description(r.oid, 'pg_authid'), $2) > 0
"""

MEMBERS = """
SELECT DISTINCT r.rolname::text AS role, m.rolname::text AS member
FROM pg_catalog.pg_auth_members AS a
JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
WHERE (r.rolname = ANY ($1) OR m.rolname = ANY ($1)) AND {effective}
"""
EFFECTIVE_FROM_16 = "(a.inherit_option OR a.set_option)"
"""Who only administers a role (whoever made it) cannot act as it."""

SCHEMAS = """
SELECT n.nspname::text AS name, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
  pg_catalog.format('SCHEMA %I', n.nspname) AS object
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = ANY ($1) OR pg_catalog.pg_get_userbyid(n.nspowner) = ANY ($2)
"""

SCHEMA_ACL = """
SELECT n.nspname::text AS name, pg_catalog.format('SCHEMA %I', n.nspname) AS object, a.privilege_type AS privilege,
  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END::text AS grantee
FROM pg_catalog.pg_namespace AS n,
  pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS a
WHERE a.grantee <> n.nspowner AND (n.nspname = ANY ($1) OR pg_catalog.pg_get_userbyid(a.grantee) = ANY ($2))
"""

RELATIONS = """
SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind,
  pg_catalog.pg_get_userbyid(c.relowner)::text AS owner, pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted,
  COALESCE((SELECT pg_catalog.string_agg(o, ', ' ORDER BY o DESC) FROM pg_catalog.unnest(c.reloptions) AS o), '')
    AS options,
  COALESCE(pg_catalog.obj_description(c.oid, 'pg_class'), '') AS comment,
  CASE WHEN c.relkind = 'v' THEN pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    pg_catalog.pg_get_viewdef(c.oid), 'UTF8')), 'hex'), 16) ELSE '' END AS digest,
  pg_catalog.concat_ws(', ',
    (SELECT pg_catalog.string_agg('rule ' || w.rulename, ', ') FROM pg_catalog.pg_rewrite AS w
     WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'),
    (SELECT pg_catalog.string_agg('trigger ' || t.tgname, ', ') FROM pg_catalog.pg_trigger AS t
     WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
    (SELECT pg_catalog.string_agg('default of ' || d.adnum, ', ') FROM pg_catalog.pg_attrdef AS d
     WHERE d.adrelid = c.oid)) AS also
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
"""

RELATION_ACL = """
SELECT n.nspname::text AS schema, c.relname::text AS relation, c.relkind::text AS kind,
  pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted, a.privilege,
  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END::text AS grantee
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT e.grantee, e.privilege_type::text AS privilege FROM pg_catalog.aclexplode(c.relacl) AS e
  UNION ALL
    SELECT e.grantee, e.privilege_type || '(' || t.attname || ')'
    FROM pg_catalog.pg_attribute AS t, pg_catalog.aclexplode(t.attacl) AS e
    WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL AND NOT t.attisdropped
) AS a
WHERE a.grantee <> c.relowner AND (n.nspname = ANY ($1) OR pg_catalog.pg_get_userbyid(a.grantee) = ANY ($2))
"""

FUNCTIONS = """
SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS name,
  pg_catalog.format('FUNCTION %I.%I(%s)', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)) AS object,
  pg_catalog.pg_get_userbyid(p.proowner)::text AS owner, p.prosrc AS body, pg_catalog.concat_ws(', ',
    CASE WHEN p.prosecdef THEN 'definer' END, CASE p.provolatile WHEN 's' THEN 'stable' WHEN 'i' THEN 'immutable' END,
    CASE WHEN p.proleakproof THEN 'leakproof' END, pg_catalog.array_to_string(p.proconfig, ', ')) AS options
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1)
"""

FUNCTION_ACL = """
SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS name,
  CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee) END::text AS grantee,
  a.privilege_type AS privilege
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace,
  pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
WHERE n.nspname = ANY ($1) AND a.grantee <> p.proowner
"""

GUARDS = """
SELECT t.tgname::text AS trigger, c.relname::text AS relation, n.nspname::text AS schema, t.tgenabled::text AS enabled,
  pg_catalog.format('%I.%I', n.nspname, c.relname) AS quoted,
  f.nspname || '.' || p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' AS runs,
  pg_catalog.concat_ws(', ', CASE WHEN t.tgtype & 4 > 0 THEN 'INSERT' END,
    CASE WHEN t.tgtype & 16 > 0 THEN 'UPDATE' END, CASE WHEN t.tgtype & 8 > 0 THEN 'DELETE' END,
    CASE WHEN t.tgtype & 1 = 0 THEN 'once' END, CASE WHEN t.tgtype & 2 = 0 THEN 'late' END,
    CASE WHEN t.tgattr::text <> '' THEN 'some columns' END) AS on,
  COALESCE(pg_catalog.substring(pg_catalog.pg_get_triggerdef(t.oid),
    'WHEN \\(\\(CURRENT_USER = ''([^'']*)''::name\\)\\) EXECUTE'), 'another condition') AS condition
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS f ON f.oid = p.pronamespace
WHERE t.tgparentid = 0 AND (f.nspname = ANY ($1) OR t.tgname = ANY ($2)) AND NOT t.tgisinternal
"""

SEQUENCES = """
SELECT w.role AS role, w.relation AS relation, pg_catalog.format('%I.%I', n.nspname, s.relname) AS sequence,
  pg_catalog.has_sequence_privilege(w.role, s.oid, 'USAGE') AS usable
FROM unnest($1::text[], $2::text[]) AS w(role, relation)
JOIN pg_catalog.pg_class AS c ON c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_namespace AS m ON m.oid = c.relnamespace
  AND m.nspname || '.' || c.relname = w.relation
JOIN pg_catalog.pg_attrdef AS a ON a.adrelid = c.oid
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
JOIN pg_catalog.pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.relnamespace
"""

STRAYS = """
SELECT r.rolname::text AS role, d.deptype::text AS how, i.type || ' ' || i.identity AS what
FROM pg_catalog.pg_shdepend AS d JOIN pg_catalog.pg_roles AS r ON r.oid = d.refobjid
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) AS i
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY ($1)
  AND d.dbid IN (0, (SELECT b.oid FROM pg_catalog.pg_database AS b WHERE b.datname = pg_catalog.current_database()))
  AND NOT (d.classid = 'pg_catalog.pg_auth_members'::pg_catalog.regclass)
  AND (d.deptype <> 'a' OR d.classid <> ALL (ARRAY['pg_catalog.pg_class'::pg_catalog.regclass,
    'pg_catalog.pg_namespace'::pg_catalog.regclass]::oid[]))
  AND (d.deptype <> 'a' OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.objid AND n.nspname = ANY ($2)))
  AND (d.deptype <> 'o' OR NOT EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n WHERE n.nspname = ANY ($2) AND (
      (d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid)
      OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = d.objid AND c.relnamespace = n.oid
                 AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.relkind IN ('r', 'v'))
      OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p WHERE p.oid = d.objid AND p.pronamespace = n.oid
                 AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass))))
"""

REACH = """
-- what PUBLIC may do, every role may; what the role itself was given is read with the other privileges
SELECT r.role AS role, pg_catalog.format('%I.%I', n.nspname, c.relname) AS what
FROM pg_catalog.unnest($1::text[]) AS r(role)
CROSS JOIN pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_' AND n.nspname <> ALL ($2) AND pg_catalog.has_schema_privilege(r.role, n.oid, 'USAGE')
  AND (pg_catalog.has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
       OR pg_catalog.has_any_column_privilege('public', c.oid, 'SELECT, INSERT, UPDATE'))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2
"""
