-- Values of the properties that a tenant's models declare filterable, beside the entities: found and counted without reading a document.

-- Which ones are kept. `ready` when those of the entities that were there before are in too; `xid` is who began it.
CREATE TABLE entity_filter (
    tenant_id bigint NOT NULL,
    type_id int NOT NULL,
    attr_id int NOT NULL,
    name text NOT NULL,
    ready boolean NOT NULL DEFAULT false,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (tenant_id, type_id, attr_id)
);

-- One row per entity, type and property that the entity has. `value` is null for what is not one plain number, truth value or short text:
-- of those the document itself tells.
CREATE TABLE entity_value (
    tenant_id bigint NOT NULL,
    type_id int NOT NULL,
    attr_id int NOT NULL,
    entity_id bigint NOT NULL,
    value jsonb,
    expires_at timestamptz,
    PRIMARY KEY (tenant_id, entity_id, attr_id, type_id)
) WITH (fillfactor = 85);
CREATE INDEX entity_value_found ON entity_value (tenant_id, type_id, attr_id, value, entity_id) INCLUDE (expires_at);

CREATE FUNCTION entity_plain_value(attribute jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(attribute) = 'object' AND attribute ->> 'type' = 'Property'
        AND (jsonb_typeof(attribute -> 'value') IN ('number', 'boolean') OR (jsonb_typeof(attribute -> 'value') = 'string' AND octet_length(attribute ->> 'value') <= 200))
        THEN attribute -> 'value' END
$$;

-- Whoever writes entities, these rows follow in the same transaction. The rows of a statement are the writer's own already.
-- Plans are kept from the first call, often of one row: without nested loops they serve five thousand as well.
CREATE FUNCTION entity_value_created() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET enable_nestloop = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM entity_filter) THEN
        RETURN NULL;
    END IF;
    INSERT INTO entity_value (tenant_id, type_id, attr_id, entity_id, value, expires_at)
    SELECT n.tenant_id, f.type_id, f.attr_id, n.id, entity_plain_value(n.doc -> f.name), n.expires_at
    FROM new_rows n JOIN entity_filter f ON f.tenant_id = n.tenant_id AND f.type_id = ANY (n.types)
    WHERE n.doc ? f.name
    ON CONFLICT (tenant_id, entity_id, attr_id, type_id) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at;
    RETURN NULL;
END
$$;

CREATE FUNCTION entity_value_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET enable_nestloop = off AS $$
DECLARE
    one record;
BEGIN
    IF NOT EXISTS (SELECT FROM entity_filter) THEN
        RETURN NULL;
    END IF;
    FOR one IN
        SELECT n.tenant_id, n.id, f.type_id, f.attr_id FROM new_rows n JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
        JOIN entity_filter f ON f.tenant_id = n.tenant_id
        WHERE f.type_id = ANY (o.types) AND o.doc ? f.name AND NOT (n.doc ? f.name AND f.type_id = ANY (n.types))
    LOOP
        DELETE FROM entity_value v WHERE v.tenant_id = one.tenant_id AND v.entity_id = one.id AND v.attr_id = one.attr_id AND v.type_id = one.type_id;
    END LOOP;
    INSERT INTO entity_value (tenant_id, type_id, attr_id, entity_id, value, expires_at)
    SELECT n.tenant_id, f.type_id, f.attr_id, n.id, entity_plain_value(n.doc -> f.name), n.expires_at
    FROM new_rows n JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
        JOIN entity_filter f ON f.tenant_id = n.tenant_id AND f.type_id = ANY (n.types)
    WHERE n.doc ? f.name AND ((n.doc -> f.name) IS DISTINCT FROM (o.doc -> f.name)
        OR n.expires_at IS DISTINCT FROM o.expires_at OR n.types IS DISTINCT FROM o.types)
    ON CONFLICT (tenant_id, entity_id, attr_id, type_id) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at
        WHERE (entity_value.value, entity_value.expires_at) IS DISTINCT FROM (excluded.value, excluded.expires_at);
    RETURN NULL;
END
$$;

CREATE FUNCTION entity_value_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM entity_filter) THEN
        DELETE FROM entity_value v WHERE (v.tenant_id, v.entity_id) IN (SELECT o.tenant_id, o.id FROM old_rows o);
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION entity_value_created(), entity_value_updated(), entity_value_deleted() FROM PUBLIC;

CREATE TRIGGER entity_value_created AFTER INSERT ON entity REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_value_created();
CREATE TRIGGER entity_value_updated AFTER UPDATE ON entity REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_value_updated();
CREATE TRIGGER entity_value_deleted AFTER DELETE ON entity REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_value_deleted();

-- Tenants whose entities are of types: for the job that keeps up with their models, tenant by tenant.
CREATE FUNCTION entity_tenants() RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    WITH RECURSIVE each AS (
        (SELECT tenant_id FROM entity ORDER BY tenant_id LIMIT 1)
        UNION ALL
        SELECT (SELECT e.tenant_id FROM entity e WHERE e.tenant_id > each.tenant_id ORDER BY e.tenant_id LIMIT 1) FROM each WHERE each.tenant_id IS NOT NULL
    ) SELECT tenant_id FROM each WHERE tenant_id IS NOT NULL
$$;
REVOKE ALL ON FUNCTION entity_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entity_tenants() TO malha_app;
