-- One entity read, made or changed in a single statement of its own: the tenant's scope and the work travel together.

CREATE FUNCTION entity_named(tenant bigint, name text)
RETURNS TABLE (id bigint, tenant_id bigint, uri text, types int[], doc text, geom bytea, scopes text[], created_at timestamptz, modified_at timestamptz,
    expires_at timestamptz, next_expiry timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('malha.tenants', '{' || tenant || '}', true);
    RETURN QUERY SELECT e.id, e.tenant_id, e.uri, e.types, e.doc::text, e.geom, e.scopes, e.created_at, e.modified_at, e.expires_at, e.next_expiry
        FROM entities e WHERE e.tenant_id = tenant AND e.uri = name AND (e.expires_at IS NULL OR e.expires_at > now());
END
$$;

-- Rows of history for one entity, given by column.
CREATE FUNCTION entity_observed(tenant bigint, entity bigint, type_ids int[], attrs int[], datasets int[], instants timestamptz[], kinds smallint[], nums float8[],
    txts text[], units int[], ops smallint[], untimed bool[])
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO observation_hot (tenant_id, type_id, entity_id, attr_id, dataset_id, observed_at, kind, num, txt, unit_id, op, received_at)
    SELECT tenant, n.type_id, entity, n.attr, n.dataset, n.at, n.kind, n.num, n.txt, n.unit, n.op, CASE WHEN n.untimed THEN n.at ELSE now() END
    FROM unnest(type_ids, attrs, datasets, instants, kinds, nums, txts, units, ops, untimed) AS n (type_id, attr, dataset, at, kind, num, txt, unit, op, untimed);
END
$$;

-- Make an entity with its history and its event; its id, or null where the URI is taken.
CREATE FUNCTION entity_made(tenant bigint, name text, of_types int[], body jsonb, in_scopes text[], place box, shape bytea, words text, ends timestamptz, first_end timestamptz,
    type_ids int[], attrs int[], datasets int[], instants timestamptz[], kinds smallint[], nums float8[], txts text[], units int[], ops smallint[], untimed bool[], event jsonb)
RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM set_config('malha.tenants', '{' || tenant || '}', true);
    INSERT INTO entities (tenant_id, uri, type_id, types, doc, scopes, bbox, geom, name_key, expires_at, next_expiry)
        VALUES (tenant, name, of_types[1], of_types, body, in_scopes, place, shape, words, ends, first_end)
        ON CONFLICT (tenant_id, uri) DO NOTHING RETURNING id INTO made;
    IF made IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM entity_observed(tenant, made, type_ids, attrs, datasets, instants, kinds, nums, txts, units, ops, untimed);
    INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'entities.changed', event || jsonb_build_object('ids', ARRAY[made]));
    RETURN made;
END
$$;

-- Change attributes of an entity with history and event, where those attributes still are what the writer read; false where not.
CREATE FUNCTION entity_edited(tenant bigint, entity bigint, keys text[], expected jsonb, body jsonb, gone text[], named bool, words text,
    type_ids int[], attrs int[], datasets int[], instants timestamptz[], kinds smallint[], nums float8[], txts text[], units int[], ops smallint[], untimed bool[], event jsonb)
RETURNS bool LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM set_config('malha.tenants', '{' || tenant || '}', true);
    UPDATE entities e SET doc = (e.doc - gone) || body, name_key = CASE WHEN named THEN words ELSE e.name_key END, run_id = NULL, modified_at = now()
        WHERE e.tenant_id = tenant AND e.id = entity AND (e.expires_at IS NULL OR e.expires_at > now())
        AND (SELECT coalesce(jsonb_object_agg(k, e.doc -> k) FILTER (WHERE e.doc ? k), '{}') FROM unnest(keys) k) = expected;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM entity_observed(tenant, entity, type_ids, attrs, datasets, instants, kinds, nums, txts, units, ops, untimed);
    INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'entities.changed', event || jsonb_build_object('ids', ARRAY[entity]));
    RETURN true;
END
$$;
