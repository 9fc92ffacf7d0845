-- Loads bring many values of one series at once: they lie in one row per series and batch, not in one row each.
-- A row of observation_hot costs PostgreSQL ten times what an element of these arrays does (its header, two index entries).
-- `seq` is the number of the first element; the others follow it. `num` or `txt` is null where the series has none.
CREATE TABLE observation_packed (
    tenant_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    run_id bigint,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint NOT NULL,
    type_id int NOT NULL,
    attr_id int NOT NULL,
    unit_id int,
    kind smallint NOT NULL,
    size int NOT NULL,
    observed_at timestamptz[] NOT NULL,
    num float8[],
    txt text[],
    row_no int[]
) PARTITION BY RANGE (received_at);
-- figures do not shrink by pglz, which costs more than the disk that it saves
ALTER TABLE observation_packed ALTER observed_at SET STORAGE EXTERNAL, ALTER num SET STORAGE EXTERNAL, ALTER row_no SET STORAGE EXTERNAL;
CREATE INDEX observation_packed_series ON observation_packed (tenant_id, attr_id, entity_id, first_at);
CREATE INDEX observation_packed_commits ON observation_packed (xid, tenant_id);
CREATE TABLE observation_packed_default PARTITION OF observation_packed DEFAULT;
REVOKE ALL ON observation_packed_default FROM malha_app;
REVOKE UPDATE ON observation_packed FROM malha_app;

-- Every value that is still hot, one a row: what readers ask.
CREATE VIEW observations WITH (security_invoker = true) AS
SELECT tenant_id, entity_id, observed_at, num, received_at, run_id, xid, seq, type_id, attr_id, dataset_id, unit_id, row_no, kind, quality, op, txt
FROM observation_hot
UNION ALL
SELECT p.tenant_id, p.entity_id, v.observed_at, v.num, p.received_at, p.run_id, p.xid, p.seq + v.n - 1, p.type_id, p.attr_id, 0, p.unit_id, v.row_no,
    p.kind, NULL::smallint, 0::smallint, v.txt
FROM observation_packed p CROSS JOIN LATERAL unnest(p.observed_at, p.num, p.txt, p.row_no) WITH ORDINALITY AS v (observed_at, num, txt, row_no, n);
GRANT CREATE ON SCHEMA public TO malha_view;
ALTER VIEW observations OWNER TO malha_view;
REVOKE CREATE ON SCHEMA public FROM malha_view;
REVOKE ALL ON observations FROM malha_app;
GRANT SELECT ON observations TO malha_app, malha_compactor;

-- Take `count` numbers of observation_hot's sequence that follow each other; returns the first.
-- Others go on taking single numbers meanwhile: the gap keeps the few that they take between reading and setting outside.
CREATE FUNCTION observation_numbers(count bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    name regclass := pg_get_serial_sequence('public.observation_hot', 'seq');
    first bigint;
BEGIN
    IF count < 1 OR count > 100000000 THEN
        RAISE EXCEPTION 'count out of range';
    END IF;
    PERFORM pg_advisory_lock(8732::bigint << 32);
    first := nextval(name) + 10000;
    PERFORM setval(name, first + count - 1);
    PERFORM pg_advisory_unlock(8732::bigint << 32);
    RETURN first;
END
$$;
REVOKE ALL ON FUNCTION observation_numbers(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION observation_numbers(bigint) TO malha_app;

CREATE OR REPLACE FUNCTION observation_partitions_ahead(days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '3s' AS $$
DECLARE
    day date;
    parent text;
    part text;
    made int := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['observation_hot', 'observation_packed'] LOOP
        FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, days) AS n LOOP
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                               part, parent, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
                EXECUTE format('REVOKE ALL ON public.%I FROM malha_app', part);
                made := made + 1;
            EXCEPTION
                WHEN check_violation OR lock_not_available OR duplicate_table THEN
                    NULL;  -- rows of that day wait in the default partition, which every reader sees too
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

CREATE OR REPLACE FUNCTION observation_partitions_drop(before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '3s' AS $$
DECLARE
    part text;
    dropped int := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('public.observation_hot'::regclass, 'public.observation_packed'::regclass)
          AND c.relname ~ '^observation_(hot|packed)_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= (before AT TIME ZONE 'UTC')::date
    LOOP
        EXECUTE format('DROP TABLE public.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
CREATE POLICY observation_packed_compactor ON observation_packed TO malha_compactor USING (true);
GRANT SELECT, DELETE ON observation_packed TO malha_compactor;
SELECT observation_partitions_ahead(7);
