-- case: node-postgres 18 01
-- params: ["Hello"]
SELECT $1::text as message
;

-- case: node-postgres 18 02
-- params: ["public"]
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = $1 ORDER BY table_name, ordinal_position
;

-- case: node-postgres 18 03
SELECT NOW()
;

-- case: node-postgres 18 04
-- params: ["mood"]
SELECT oid, typname FROM pg_type WHERE typname = $1
;

