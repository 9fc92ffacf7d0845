-- Which machine made a tenant by its first write (GS CIM 009 §5.5.10), and of which tenant that machine is.
CREATE TABLE tenant_founder (
    tenant_id bigint PRIMARY KEY REFERENCES organisation DEFERRABLE INITIALLY DEFERRED,
    client_id text NOT NULL,
    home_id bigint NOT NULL REFERENCES organisation DEFERRABLE INITIALLY DEFERRED,
    founded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tenant_founder_client ON tenant_founder (client_id);

-- What a machine may in a tenant that it made: what it may at home, as long as it may that and may make tenants; no row for anybody else.
CREATE FUNCTION founding_machine(tenant bigint, client text) RETURNS TABLE (name text, capabilities text[], types text[], scope jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT m.name, array(SELECT c FROM unnest(m.capabilities) c WHERE c IN ('data.read', 'data.write')), m.types, m.scope
    FROM tenant_founder f JOIN machine_client m ON m.tenant_id = f.home_id AND m.client_id = f.client_id
    WHERE f.tenant_id = tenant AND f.client_id = client AND m.revoked_at IS NULL AND m.expires_at > now() AND 'tenant.create' = ANY (m.capabilities)
$$;
REVOKE ALL ON FUNCTION founding_machine(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION founding_machine(bigint, text) TO malha_app;

-- Make a tenant for a machine that may: its id; null where the name is taken, the machine may not, or has made as many as it may.
CREATE FUNCTION found_tenant(named text, client text, home bigint, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM 1 FROM machine_client m WHERE m.tenant_id = home AND m.client_id = client AND m.revoked_at IS NULL AND m.expires_at > now()
        AND 'tenant.create' = ANY (m.capabilities) AND m.types IS NULL AND m.scope = '{}' FOR UPDATE;
    IF NOT FOUND OR (SELECT count(*) FROM tenant_founder f WHERE f.client_id = client) >= most THEN
        RETURN NULL;
    END IF;
    INSERT INTO organisation (kind, slug, name, parent_id, dico, is_tenant, is_demo, hostname, time_zone, crs, theme, created_at)
        SELECT 'service', named, named, o.id, '', true, false, '', o.time_zone, o.crs, '{}', now() FROM organisation o WHERE o.id = home
        ON CONFLICT DO NOTHING RETURNING id INTO made;
    IF made IS NOT NULL THEN
        INSERT INTO tenant_founder (tenant_id, client_id, home_id) VALUES (made, client, home);
    END IF;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION found_tenant(text, text, bigint, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION found_tenant(text, text, bigint, int) TO malha_app;
