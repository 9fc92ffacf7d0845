-- Sources that speak by themselves: how each is set up, when it spoke last, when it is asked again.
CREATE TABLE ingest_source (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    connector text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    progress jsonb NOT NULL DEFAULT '{}',
    every_seconds int NOT NULL CHECK (every_seconds > 0),
    enabled boolean NOT NULL DEFAULT true,
    failures int NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    last_heard_at timestamptz,
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, connector)
);
-- One row per load. The place to go on from and the counts change in the transaction that wrote the rows they speak of.
CREATE TABLE ingest_run (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('file', 'source', 'mended', 'other')),
    title text NOT NULL,
    source_id bigint,
    parent_id bigint,
    sha256 text,
    signature text NOT NULL DEFAULT '',
    type text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'stopped', 'done', 'failed', 'undone')),
    stop_asked boolean NOT NULL DEFAULT false,
    answers jsonb,
    position jsonb NOT NULL DEFAULT '{}',
    counts jsonb NOT NULL DEFAULT '{}',
    expected_rows bigint NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    notes jsonb NOT NULL DEFAULT '[]',
    actor text NOT NULL DEFAULT '',
    tries int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    heard_at timestamptz,
    finished_at timestamptz,
    undone_at timestamptz,
    undone_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX ingest_run_latest ON ingest_run (tenant_id, created_at DESC);
CREATE INDEX ingest_run_open ON ingest_run (tenant_id, state) WHERE state IN ('waiting', 'running');
-- Things that a replacement took away, as they were: undoing the load puts them back.
CREATE TABLE ingest_removed (
    tenant_id bigint NOT NULL,
    run_id bigint NOT NULL,
    uri text NOT NULL,
    types text[] NOT NULL,
    scopes text[] NOT NULL,
    attributes jsonb NOT NULL,
    removed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, uri)
);
