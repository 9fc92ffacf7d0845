-- Types of which readers keep figures in memory (columns.py): whoever changes such entities says which.
-- `since`: everybody from this transaction on has seen the row; null until somebody came after it. What changed before `kept_from` is forgotten,
-- what changed before `next_kept_from` will be when the job comes again.
CREATE TABLE entity_watch (
    tenant_id bigint NOT NULL,
    type_id int NOT NULL,
    since xid8,
    kept_from xid8 NOT NULL DEFAULT '0',
    next_kept_from xid8 NOT NULL DEFAULT '0',
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, type_id)
);
CREATE TABLE entity_changed_ids (
    tenant_id bigint NOT NULL,
    type_id int NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ids bigint[] NOT NULL
);
CREATE INDEX entity_changed_ids_since ON entity_changed_ids (tenant_id, type_id, xid);
REVOKE INSERT, UPDATE ON entity_changed_ids FROM malha_app;

-- The number that an attribute is, as far as a double says it exactly; NaN where none can answer a comparison, -Infinity where the document has to be asked.
-- Up to fifteen digits are told apart by doubles; longer ones have to come back as they were.
CREATE FUNCTION entity_figure(attribute jsonb) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN attribute IS NULL THEN 'NaN'
        WHEN attribute ->> 'type' IS DISTINCT FROM 'Property' THEN '-Infinity'
        WHEN jsonb_typeof(attribute -> 'value') = 'number' THEN CASE
            WHEN octet_length(attribute ->> 'value') <= 15 THEN (attribute ->> 'value')::double precision
            WHEN abs((attribute ->> 'value')::numeric) NOT BETWEEN 1e-300 AND 1e300 THEN '-Infinity'
            WHEN (attribute ->> 'value')::double precision::text::numeric = (attribute ->> 'value')::numeric THEN (attribute ->> 'value')::double precision
            ELSE '-Infinity' END
        WHEN jsonb_typeof(attribute -> 'value') IN ('string', 'boolean') THEN 'NaN'
        ELSE '-Infinity' END
$$;

-- As 0006, and for watched types which entities changed.
CREATE OR REPLACE FUNCTION entity_value_created() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET enable_nestloop = off AS $$
BEGIN
    IF EXISTS (SELECT FROM entity_watch) THEN
        INSERT INTO entity_changed_ids (tenant_id, type_id, ids)
        SELECT n.tenant_id, w.type_id, array_agg(n.id) FROM new_rows n JOIN entity_watch w ON w.tenant_id = n.tenant_id AND w.type_id = ANY (n.types)
        GROUP BY n.tenant_id, w.type_id;
    END IF;
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

CREATE OR REPLACE FUNCTION entity_value_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET enable_nestloop = off AS $$
DECLARE
    one record;
BEGIN
    IF EXISTS (SELECT FROM entity_watch) THEN
        INSERT INTO entity_changed_ids (tenant_id, type_id, ids)
        SELECT r.tenant_id, w.type_id, array_agg(DISTINCT r.id)
        FROM (SELECT tenant_id, id, types FROM new_rows UNION ALL SELECT tenant_id, id, types FROM old_rows) r
        JOIN entity_watch w ON w.tenant_id = r.tenant_id AND w.type_id = ANY (r.types) GROUP BY r.tenant_id, w.type_id;
    END IF;
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

CREATE OR REPLACE FUNCTION entity_value_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    IF EXISTS (SELECT FROM entity_watch) THEN
        INSERT INTO entity_changed_ids (tenant_id, type_id, ids)
        SELECT o.tenant_id, w.type_id, array_agg(o.id) FROM old_rows o JOIN entity_watch w ON w.tenant_id = o.tenant_id AND w.type_id = ANY (o.types)
        GROUP BY o.tenant_id, w.type_id;
    END IF;
    IF EXISTS (SELECT FROM entity_filter) THEN
        DELETE FROM entity_value v WHERE (v.tenant_id, v.entity_id) IN (SELECT o.tenant_id, o.id FROM old_rows o);
    END IF;
    RETURN NULL;
END
$$;

-- Tenants of which something is watched: for the job that forgets what no reader needs any more.
CREATE FUNCTION entity_watch_tenants() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
    SELECT DISTINCT tenant_id FROM entity_watch
$$;
REVOKE ALL ON FUNCTION entity_watch_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entity_watch_tenants() TO malha_app;
