-- JSON-LD contexts by tenant (GS CIM 009 §5.13): hosted for clients, fetched once from elsewhere, or made from inline ones.
CREATE TABLE jsonld_context (
    tenant_id bigint NOT NULL,
    id text NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 200),
    url text NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 2048),
    kind text NOT NULL CHECK (kind IN ('Hosted', 'Cached', 'ImplicitlyCreated')),
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    fetched_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    hits bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, url)
);
