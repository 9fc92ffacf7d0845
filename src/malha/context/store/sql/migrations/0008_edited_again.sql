-- One entity changed again and again, as a sensor's is: whoever wrote it last need not read it first.
DROP FUNCTION entity_edited(bigint, bigint, text[], jsonb, jsonb, text[], bool, text, int[], int[], int[], timestamptz[], smallint[], float8[], text[], int[], smallint[], bool[], jsonb);

-- Change attributes of an entity with history and event, where those attributes still are what the writer read; null where not, else when it was changed.
-- `seen` is given by who did not read it now: when it was changed last, as far as they know.
CREATE FUNCTION entity_edited(tenant bigint, entity bigint, seen timestamptz, keys text[], expected jsonb, body jsonb, gone text[], named bool, words text,
    type_ids int[], attrs int[], datasets int[], instants timestamptz[], kinds smallint[], nums float8[], txts text[], units int[], ops smallint[], untimed bool[], event jsonb)
RETURNS timestamptz LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM set_config('malha.tenants', '{' || tenant || '}', true);
    UPDATE entities e SET doc = (e.doc - gone) || body, name_key = CASE WHEN named THEN words ELSE e.name_key END, run_id = NULL, modified_at = now()
        WHERE e.tenant_id = tenant AND e.id = entity AND (seen IS NULL OR e.modified_at = seen) AND (e.expires_at IS NULL OR e.expires_at > now())
        AND (SELECT coalesce(jsonb_object_agg(k, e.doc -> k) FILTER (WHERE e.doc ? k), '{}') FROM unnest(keys) k) = expected;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM entity_observed(tenant, entity, type_ids, attrs, datasets, instants, kinds, nums, txts, units, ops, untimed);
    INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'entities.changed', event || jsonb_build_object('ids', ARRAY[entity]));
    RETURN now();
END
$$;
