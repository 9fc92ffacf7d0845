-- Files on their way straight into history: how much of one has come is how long its part is; then what its columns mean, until the load begins.
CREATE TABLE history_draft (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    bytes bigint NOT NULL CHECK (bytes > 0),
    mark text NOT NULL DEFAULT '',
    sha256 text,
    shape jsonb,
    actor text NOT NULL DEFAULT '',
    run_id bigint,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
