-- What pg_regress's own first test leaves for the two files.
GRANT ALL ON SCHEMA public TO public;
CREATE TABLE public.int8_tbl (q1 int8, q2 int8);
INSERT INTO public.int8_tbl VALUES ('123', '456'), ('123', '4567890123456789'), ('4567890123456789', '123');
-- What every agent may read, so that its session stays open whatever else it may.
CREATE SCHEMA zz_anchor;
CREATE TABLE zz_anchor.anchor (x int);
