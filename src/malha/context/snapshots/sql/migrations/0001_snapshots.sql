-- Answers kept as they were (GS CIM 009 §5.2.41, §5.16): what was asked, how it went, until when.
CREATE TABLE snapshot (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    uri text NOT NULL CHECK (octet_length(uri) BETWEEN 1 AND 2048),
    subject text NOT NULL,
    document jsonb NOT NULL,
    priority int NOT NULL,
    status text NOT NULL DEFAULT 'preparing' CHECK (status IN ('preparing', 'success', 'partial', 'empty', 'failure')),
    details jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    modified_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, uri)
);
CREATE INDEX snapshot_expiry ON snapshot (expires_at);

-- The entities of each, in their order, as its maker was allowed to see them.
CREATE TABLE snapshot_entity (
    tenant_id bigint NOT NULL,
    snapshot_id bigint NOT NULL,
    place int NOT NULL,
    uri text NOT NULL,
    types text[] NOT NULL,
    attributes jsonb NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, snapshot_id, place),
    UNIQUE (tenant_id, snapshot_id, uri),
    FOREIGN KEY (tenant_id, snapshot_id) REFERENCES snapshot (tenant_id, id) ON DELETE CASCADE
);

-- Tenants with a snapshot that has ended: for the job that takes it away, tenant by tenant.
CREATE FUNCTION snapshot_tenants_with_ended() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$ SELECT DISTINCT tenant_id FROM snapshot WHERE expires_at <= now() $$;
REVOKE ALL ON FUNCTION snapshot_tenants_with_ended() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION snapshot_tenants_with_ended() TO malha_app;
