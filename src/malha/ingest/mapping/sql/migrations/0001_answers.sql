-- Answers given once, offered to the next table with the same header.
CREATE TABLE ingest_answers (
    tenant_id bigint NOT NULL,
    signature text NOT NULL,
    answers jsonb NOT NULL,
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, signature)
);
-- Guided loads that somebody is in the middle of: one may leave and come back.
CREATE TABLE ingest_draft (
    tenant_id bigint NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    sha256 text NOT NULL,
    name text NOT NULL,
    answers jsonb,
    facts jsonb NOT NULL DEFAULT '{}',
    actor text NOT NULL DEFAULT '',
    run_id bigint,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
