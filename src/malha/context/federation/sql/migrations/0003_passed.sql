-- Subscriptions passed on to sources (GS CIM 009 §5.8.1.4): `uri` is its id there, which nobody else can guess; `wanted` what the source
-- is to have (null: it is to be ended there), `document` what it has (null: nothing yet). `source` and `sealed` are the registration as it
-- was, so that a subscription can still be ended where the registration has gone.
CREATE TABLE subscription_passed (
    tenant_id bigint NOT NULL,
    subscription_id bigint NOT NULL,
    registration_id bigint NOT NULL,
    uri text NOT NULL,
    wanted jsonb,
    document jsonb,
    source jsonb NOT NULL,
    sealed bytea,
    expires_at timestamptz,
    failures int NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT now(),
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, subscription_id, registration_id),
    UNIQUE (tenant_id, uri)
);
CREATE INDEX subscription_passed_due ON subscription_passed (not_before) WHERE wanted IS DISTINCT FROM document OR wanted IS NULL;
CREATE INDEX subscription_passed_end ON subscription_passed (expires_at) WHERE expires_at IS NOT NULL;

-- Up to which revisions of its sources and of its subscriptions a tenant's were looked at.
CREATE TABLE subscription_passed_up_to (
    tenant_id bigint PRIMARY KEY,
    sources bigint NOT NULL,
    subscriptions bigint NOT NULL
);

-- Tenants where something is to be passed on, or taken back: one look a second for an installation, of numbers only.
CREATE FUNCTION subscriptions_to_pass() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT r.tenant_id FROM csource_revision r JOIN subscription_interest i USING (tenant_id) LEFT JOIN subscription_passed_up_to u USING (tenant_id)
    WHERE (r.revision, i.revision) IS DISTINCT FROM (u.sources, u.subscriptions)
    UNION
    SELECT p.tenant_id FROM subscription_passed p WHERE (p.wanted IS DISTINCT FROM p.document OR p.wanted IS NULL) AND p.not_before <= now()
    UNION
    SELECT p.tenant_id FROM subscription_passed p WHERE p.expires_at <= now()
$$;
REVOKE ALL ON FUNCTION subscriptions_to_pass() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION subscriptions_to_pass() TO malha_app;
