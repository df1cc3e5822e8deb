-- On top of ../corpus/fixture.sql: types that users made, one of them hidden.
CREATE TYPE public.mood AS ENUM ('ok', 'sad');
CREATE DOMAIN public.shortname AS varchar(20) CHECK (length(VALUE) > 0);
CREATE TABLE public.feelings (
  id        int PRIMARY KEY,
  how       public.mood NOT NULL,
  many      public.mood[],
  nick      public.shortname,
  amount    numeric(12,2) DEFAULT 0,
  tags      text[],
  doc       jsonb,
  at        timestamptz DEFAULT now(),
  span      tstzrange,
  ticket_id int REFERENCES public.tickets (ticket_id)
);
CREATE TYPE hr.hidden_mood AS ENUM ('CANARY_LABEL_1');
ALTER TABLE hr.employee_records ADD mood hr.hidden_mood;
CREATE INDEX customers_region_ssn ON public.customers (region) INCLUDE (ssn);
CREATE INDEX customers_region_part ON public.customers (region) WHERE tier > 7700001;
CREATE INDEX customers_lower ON public.customers (lower(password_hash));
ALTER TABLE public.tickets ALTER assignee SET DEFAULT 'CANARY_DEFAULT_1';
