-- Rows that wait: what came, as it came, and why it could not go in.
CREATE TABLE ingest_held (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    run_id bigint NOT NULL,
    row_no bigint NOT NULL,
    code text NOT NULL,
    path text NOT NULL DEFAULT '',
    message text NOT NULL,
    mend text NOT NULL DEFAULT '',
    cells jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'mended', 'dropped')),
    mended_by bigint,
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX ingest_held_groups ON ingest_held (tenant_id, run_id, state, code, path);
CREATE UNIQUE INDEX ingest_held_once ON ingest_held (tenant_id, run_id, row_no, code, path);
