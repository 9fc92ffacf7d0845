-- Current state and hot observations. Rows of a tenant lead their keys with tenant_id, so that the tables can be distributed.

-- Names of types, attributes, units and instances, shared by all tenants: facts, nobody's data. Ids are never reused.
CREATE TABLE entity_type (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 1024),
    iri text NOT NULL UNIQUE
);
CREATE TABLE attribute (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 1024),
    iri text NOT NULL UNIQUE
);
CREATE TABLE unit (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 64)
);
-- datasetId of attribute instances (GS CIM 009 §4.5.5); 0 is the default instance and has no row.
CREATE TABLE attribute_dataset (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (octet_length(name) BETWEEN 1 AND 2048)
);
REVOKE UPDATE, DELETE ON entity_type, attribute, unit, attribute_dataset FROM malha_app;
GRANT SELECT ON entity_type, attribute, unit, attribute_dataset TO malha_compactor;

-- One row per entity that exists now. A point lies in bbox and doc; any other shape in geom (WKB), and then doc holds no value of it.
CREATE TABLE entity (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    uri text NOT NULL CHECK (octet_length(uri) BETWEEN 1 AND 2048),
    type_id int NOT NULL,
    types int[] NOT NULL,
    doc jsonb NOT NULL,
    scopes text[],
    bbox box,
    geom bytea,
    name_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    modified_at timestamptz NOT NULL DEFAULT now(),
    created_run bigint,
    run_id bigint,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, uri)
) WITH (fillfactor = 85);
CREATE INDEX entity_by_type ON entity (tenant_id, type_id, id);
CREATE INDEX entity_by_place ON entity USING gist (tenant_id, bbox) WHERE bbox IS NOT NULL;
CREATE INDEX entity_by_name ON entity USING gin (name_key gin_trgm_ops) WHERE name_key IS NOT NULL;
CREATE INDEX entity_of_several_types ON entity (tenant_id, id) WHERE cardinality(types) > 1;

-- What was deleted and when: its history is hidden, its id never comes back.
CREATE TABLE entity_deleted (
    tenant_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    uri text NOT NULL,
    type_id int NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    run_id bigint,
    PRIMARY KEY (tenant_id, entity_id)
);

-- Attributes as they were before a run first changed an entity, so that the run can be undone. null: the attribute was not there.
CREATE TABLE entity_before_run (
    tenant_id bigint NOT NULL,
    run_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    before jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, entity_id)
);

-- Runs that were undone: readers of the lake leave their rows out until the compactor has taken them away.
CREATE TABLE undone_run (
    tenant_id bigint NOT NULL,
    run_id bigint NOT NULL,
    undone_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id)
);

-- One row per changed attribute instance, until the compactor has moved it to the lake.
CREATE TABLE observation_hot (
    tenant_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    observed_at timestamptz NOT NULL,
    num double precision,
    received_at timestamptz NOT NULL DEFAULT now(),
    run_id bigint,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    type_id int NOT NULL,
    attr_id int NOT NULL,
    dataset_id int NOT NULL DEFAULT 0,
    unit_id int,
    row_no int,
    kind smallint NOT NULL,
    quality smallint,
    op smallint NOT NULL DEFAULT 0,
    txt text
) PARTITION BY RANGE (received_at);
CREATE INDEX observation_hot_series ON observation_hot (tenant_id, attr_id, entity_id, observed_at);
-- one entry a transaction and page, not one a row: readers order by (xid, seq) within it
CREATE INDEX observation_hot_commits ON observation_hot (tenant_id, xid);
CREATE TABLE observation_hot_default PARTITION OF observation_hot DEFAULT;
REVOKE ALL ON observation_hot_default FROM malha_app;
REVOKE UPDATE ON observation_hot FROM malha_app;

-- Make the partitions of today and of `days` days after it; those that exist stay. Returns how many were made.
CREATE FUNCTION observation_partitions_ahead(days int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '3s' AS $$
DECLARE
    day date;
    part text;
    made int := 0;
BEGIN
    FOR day IN SELECT (now() AT TIME ZONE 'UTC')::date + n FROM generate_series(0, days) AS n LOOP
        part := 'observation_hot_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE public.%I PARTITION OF public.observation_hot FOR VALUES FROM (%L) TO (%L)',
                           part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            EXECUTE format('REVOKE ALL ON public.%I FROM malha_app', part);
            made := made + 1;
        EXCEPTION
            WHEN check_violation OR lock_not_available OR duplicate_table THEN
                NULL;  -- rows of that day wait in the default partition, which every reader sees too
        END;
    END LOOP;
    RETURN made;
END
$$;

-- Drop the partitions that hold only rows received before `before` (all of them must have been moved). Returns how many.
CREATE FUNCTION observation_partitions_drop(before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET lock_timeout = '3s' AS $$
DECLARE
    part text;
    dropped int := 0;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.observation_hot'::regclass AND c.relname ~ '^observation_hot_[0-9]{8}$'
          AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= (before AT TIME ZONE 'UTC')::date
    LOOP
        EXECUTE format('DROP TABLE public.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
REVOKE ALL ON FUNCTION observation_partitions_ahead(int), observation_partitions_drop(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION observation_partitions_ahead(int) TO malha_app, malha_compactor;
GRANT EXECUTE ON FUNCTION observation_partitions_drop(timestamptz) TO malha_compactor;
