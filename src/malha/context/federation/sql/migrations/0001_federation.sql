-- Which other sources hold context information (GS CIM 009 §5.2.9): `document` in internal names, `sealed` the headers that
-- go with each request, encrypted; `agreement_id` says that the source is a tenant of this installation.
CREATE TABLE csource_registration (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    uri text NOT NULL CHECK (octet_length(uri) BETWEEN 1 AND 2048),
    document jsonb NOT NULL,
    sealed bytea,
    context jsonb,
    agreement_id bigint,
    giver_id bigint,
    expires_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    modified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, uri)
);

-- How each source answers; gathered by the plane and written every few seconds.
CREATE TABLE csource_state (
    tenant_id bigint NOT NULL,
    registration_id bigint NOT NULL,
    times_sent bigint NOT NULL DEFAULT 0,
    times_failed bigint NOT NULL DEFAULT 0,
    last_success timestamptz,
    last_failure timestamptz,
    failing_since timestamptz,
    error text,
    PRIMARY KEY (tenant_id, registration_id),
    FOREIGN KEY (tenant_id, registration_id) REFERENCES csource_registration (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 60);

-- One row per tenant that ever had a source, and a number that changes with them.
CREATE TABLE csource_revision (
    tenant_id bigint PRIMARY KEY,
    revision bigint NOT NULL,
    sources int NOT NULL DEFAULT 0
);

-- Which tenants have sources now: one look a second for a whole process, of numbers only.
CREATE FUNCTION federated_tenants() RETURNS TABLE (tenant_id bigint, revision bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT r.tenant_id, r.revision FROM csource_revision r WHERE r.sources > 0
$$;
REVOKE ALL ON FUNCTION federated_tenants() FROM public;
GRANT EXECUTE ON FUNCTION federated_tenants() TO malha_app, malha_compactor;
