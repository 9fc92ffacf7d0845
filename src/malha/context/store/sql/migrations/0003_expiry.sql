-- Entities and attributes that end by themselves (GS CIM 009 §4.22). next_expiry: when the first of them does.
ALTER TABLE entity ADD COLUMN expires_at timestamptz, ADD COLUMN next_expiry timestamptz;
CREATE INDEX entity_by_expiry ON entity (next_expiry) WHERE next_expiry IS NOT NULL;

-- Tenants with something that has ended: for the job that takes it away, tenant by tenant.
CREATE FUNCTION entity_tenants_with_expired() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$ SELECT DISTINCT tenant_id FROM entity WHERE next_expiry <= now() $$;
REVOKE ALL ON FUNCTION entity_tenants_with_expired() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entity_tenants_with_expired() TO malha_app;
CREATE OR REPLACE VIEW entities AS SELECT * FROM entity
    WHERE tenant_id = ANY ((SELECT nullif(current_setting('malha.tenants', true), '')::bigint[])::bigint[]) WITH CHECK OPTION;
