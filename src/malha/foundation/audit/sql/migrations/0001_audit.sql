-- The trail: rows are added by whoever acts, chained afterwards in batches, and never changed (data-plane 25).
CREATE TABLE audit_entry (
    tenant_id bigint NOT NULL,  -- 0: the platform itself
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    personal boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_entry_at ON audit_entry (tenant_id, at);

-- The chain: each link holds the hash of its entry and of the link before it.
CREATE TABLE audit_link (
    tenant_id bigint NOT NULL,
    seq bigint NOT NULL,
    entry_id bigint NOT NULL,
    hash bytea NOT NULL,
    chained_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, seq),
    UNIQUE (tenant_id, entry_id)
);

-- The anchors: the head of each chain, once a day; also written outside the database.
CREATE TABLE audit_anchor (
    tenant_id bigint NOT NULL,
    day date NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_id, day)
);

REVOKE ALL ON audit_entry, audit_link, audit_anchor FROM malha_app;
GRANT SELECT, INSERT ON audit_entry, audit_link, audit_anchor TO malha_app;
