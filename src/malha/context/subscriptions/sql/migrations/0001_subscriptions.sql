-- Who wants to hear of what (GS CIM 009 §5.2.12): `document` is the subscription with internal names, `context` the @context it came with.
CREATE TABLE subscription (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    uri text NOT NULL CHECK (octet_length(uri) BETWEEN 1 AND 2048),
    subject text NOT NULL,
    document jsonb NOT NULL,
    context jsonb,
    active boolean NOT NULL DEFAULT true,
    expires_at timestamptz,
    since timestamptz NOT NULL DEFAULT now(), -- changes before it are not for this subscriber
    created_at timestamptz NOT NULL DEFAULT now(),
    modified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, uri)
);
CREATE INDEX subscription_of_subject ON subscription (tenant_id, subject, id);

-- How the delivery of each fares; written by the worker only.
CREATE TABLE subscription_state (
    tenant_id bigint NOT NULL,
    subscription_id bigint NOT NULL,
    times_sent bigint NOT NULL DEFAULT 0,
    times_failed bigint NOT NULL DEFAULT 0,
    times_dropped bigint NOT NULL DEFAULT 0,
    last_notification timestamptz,
    last_success timestamptz,
    last_failure timestamptz,
    failing_since timestamptz,
    not_before timestamptz,
    error text,
    recent jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (tenant_id, subscription_id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 60);

-- One row per tenant that has subscriptions: which types they watch (null: any), and a number that changes with them.
CREATE TABLE subscription_interest (
    tenant_id bigint PRIMARY KEY,
    revision bigint NOT NULL,
    type_ids int[]
);

-- What changed, with the state after it: the outbox of notifications, in order of (xid, seq), kept until all have it.
CREATE TABLE entity_change (
    tenant_id bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    entity_id bigint NOT NULL,
    uri text NOT NULL,
    types int[] NOT NULL,
    doc jsonb NOT NULL,
    geom bytea,
    scopes text[],
    created_at timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    operation smallint NOT NULL,
    before jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX entity_change_order ON entity_change (xid, seq);

-- What waits to be delivered, in order of id within its subscription: one row, one notification.
CREATE TABLE notification (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    subscription_id bigint NOT NULL,
    changes bigint[] NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX notification_queue ON notification (tenant_id, subscription_id, id);

REVOKE ALL ON subscription_state, subscription_interest, entity_change, notification FROM malha_app;
GRANT SELECT, INSERT ON subscription_state TO malha_app;
GRANT SELECT, INSERT, UPDATE ON subscription_interest TO malha_app;
GRANT INSERT ON entity_change TO malha_app;
GRANT SELECT, DELETE ON notification TO malha_app;
GRANT SELECT ON subscription, subscription_interest TO malha_compactor;
GRANT SELECT, DELETE ON entity_change TO malha_compactor;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification TO malha_compactor;
GRANT SELECT, INSERT, UPDATE ON subscription_state TO malha_compactor;
CREATE POLICY subscription_delivery ON subscription FOR SELECT TO malha_compactor USING (true);
CREATE POLICY subscription_interest_delivery ON subscription_interest FOR SELECT TO malha_compactor USING (true);
CREATE POLICY subscription_state_delivery ON subscription_state TO malha_compactor USING (true) WITH CHECK (true);
CREATE POLICY entity_change_delivery ON entity_change TO malha_compactor USING (true);
CREATE POLICY notification_delivery ON notification TO malha_compactor USING (true) WITH CHECK (true);

-- An attribute as it was; a shape that is not a point lies beside the document and is put back when it is read.
CREATE FUNCTION entity_document(doc jsonb, geom bytea) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN geom IS NULL OR jsonb_typeof(doc -> 'location') IS DISTINCT FROM 'object' THEN doc
                ELSE doc || jsonb_build_object('location', (doc -> 'location') || jsonb_build_object('wkb', encode(geom, 'hex'))) END
$$;

-- Writers of entities leave here what changed, whoever they are, and only where somebody listens. `before` maps each
-- changed attribute to what it was, null where it is new.
CREATE FUNCTION entity_change_created() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM subscription_interest) THEN
        RETURN NULL;
    END IF;
    INSERT INTO entity_change (tenant_id, entity_id, uri, types, doc, geom, scopes, created_at, modified_at, operation, before)
    SELECT n.tenant_id, n.id, n.uri, n.types, n.doc, n.geom, n.scopes, n.created_at, n.modified_at, 0,
           coalesce((SELECT jsonb_object_agg(k, NULL) FROM jsonb_object_keys(n.doc) AS k), '{}')
    FROM new_rows n JOIN subscription_interest i ON i.tenant_id = n.tenant_id AND (i.type_ids IS NULL OR i.type_ids && n.types);
    RETURN NULL;
END
$$;

-- the plan is kept from the first call, often of one row: without nested loops it serves five thousand as well
CREATE FUNCTION entity_change_updated() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public SET enable_nestloop = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM subscription_interest) THEN
        RETURN NULL;
    END IF;
    INSERT INTO entity_change (tenant_id, entity_id, uri, types, doc, geom, scopes, created_at, modified_at, operation, before)
    SELECT n.tenant_id, n.id, n.uri, n.types, n.doc, n.geom, n.scopes, n.created_at, n.modified_at, 1, coalesce(d.before, '{}')
    FROM new_rows n
    JOIN subscription_interest i ON i.tenant_id = n.tenant_id AND (i.type_ids IS NULL OR i.type_ids && n.types)
    JOIN old_rows o ON o.tenant_id = n.tenant_id AND o.id = n.id
    CROSS JOIN LATERAL (
        SELECT jsonb_object_agg(coalesce(a.key, b.key), b.value) AS before
        FROM jsonb_each(n.doc) AS a FULL JOIN jsonb_each(entity_document(o.doc, o.geom)) AS b ON b.key = a.key
        WHERE (a.value IS DISTINCT FROM CASE WHEN b.key = 'location' THEN o.doc -> 'location' ELSE b.value END)
           OR (b.key = 'location' AND n.geom IS DISTINCT FROM o.geom)
    ) d
    WHERE d.before IS NOT NULL OR n.types IS DISTINCT FROM o.types OR n.scopes IS DISTINCT FROM o.scopes;
    RETURN NULL;
END
$$;

CREATE FUNCTION entity_change_deleted() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM subscription_interest) THEN
        RETURN NULL;
    END IF;
    INSERT INTO entity_change (tenant_id, entity_id, uri, types, doc, geom, scopes, created_at, modified_at, operation, before)
    SELECT o.tenant_id, o.id, o.uri, o.types, o.doc, o.geom, o.scopes, o.created_at, o.modified_at, 2, entity_document(o.doc, o.geom)
    FROM old_rows o JOIN subscription_interest i ON i.tenant_id = o.tenant_id AND (i.type_ids IS NULL OR i.type_ids && o.types);
    RETURN NULL;
END
$$;

CREATE TRIGGER entity_change_created AFTER INSERT ON entity REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_change_created();
CREATE TRIGGER entity_change_updated AFTER UPDATE ON entity REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_change_updated();
CREATE TRIGGER entity_change_deleted AFTER DELETE ON entity REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION entity_change_deleted();
