-- Whose data was erased, as a proof that holds none of it: numbers of things, keyed digests of what was searched, counts.
CREATE TABLE erasure (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    asked_by text NOT NULL,
    ground text NOT NULL CHECK (length(ground) BETWEEN 1 AND 500),
    digests text[] NOT NULL,
    entity_ids bigint[] NOT NULL DEFAULT '{}',
    files text[] NOT NULL DEFAULT '{}',
    counts jsonb NOT NULL DEFAULT '{}',
    remains jsonb NOT NULL DEFAULT '{}',
    failure text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id)
);
REVOKE ALL ON erasure FROM malha_app;
GRANT SELECT ON erasure TO malha_app;
