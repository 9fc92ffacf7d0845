-- What was just made is often changed next: whoever made it knows it then, and need not read it first.
DROP FUNCTION entity_made(bigint, text, int[], jsonb, text[], box, bytea, text, timestamptz, timestamptz,
    int[], int[], int[], timestamptz[], smallint[], float8[], text[], int[], smallint[], bool[], jsonb);

-- Make an entity with its history and its event; its id and when it was made, or nulls where the URI is taken.
CREATE FUNCTION entity_made(tenant bigint, name text, of_types int[], body jsonb, in_scopes text[], place box, shape bytea, words text, ends timestamptz, first_end timestamptz,
    type_ids int[], attrs int[], datasets int[], instants timestamptz[], kinds smallint[], nums float8[], txts text[], units int[], ops smallint[], untimed bool[], event jsonb,
    OUT made bigint, OUT made_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    PERFORM set_config('malha.tenants', '{' || tenant || '}', true);
    INSERT INTO entities (tenant_id, uri, type_id, types, doc, scopes, bbox, geom, name_key, expires_at, next_expiry)
        VALUES (tenant, name, of_types[1], of_types, body, in_scopes, place, shape, words, ends, first_end)
        ON CONFLICT (tenant_id, uri) DO NOTHING RETURNING id INTO made;
    IF made IS NULL THEN
        RETURN;
    END IF;
    PERFORM entity_observed(tenant, made, type_ids, attrs, datasets, instants, kinds, nums, txts, units, ops, untimed);
    INSERT INTO outbox (tenant_id, name, payload) VALUES (tenant, 'entities.changed', event || jsonb_build_object('ids', ARRAY[made]));
    made_at := now();
END
$$;
