-- Attributes, by type, under which JSON or a list ever lay (JsonProperty, ListProperty). Of all others a number lies in `value` alone,
-- so that a question about it needs to look nowhere else. What is noted stays, also when the entity goes.
-- With the transaction in the key, two who come first at once each write a row, and neither waits for the other.
CREATE TABLE entity_json_attribute (
    tenant_id bigint NOT NULL,
    type_id int NOT NULL,
    name text NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (tenant_id, type_id, name, xid)
);
REVOKE INSERT, UPDATE, DELETE ON entity_json_attribute FROM malha_app;

CREATE FUNCTION entity_json_attribute_noted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO entity_json_attribute (tenant_id, type_id, name)
    SELECT DISTINCT NEW.tenant_id, t.id, a.key FROM jsonb_each(NEW.doc) AS a CROSS JOIN unnest(NEW.types) AS t (id)
    WHERE a.value @@ 'exists($.json) || exists($.valueList)'
        AND NOT EXISTS (SELECT FROM entity_json_attribute k WHERE k.tenant_id = NEW.tenant_id AND k.type_id = t.id AND k.name = a.key);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION entity_json_attribute_noted() FROM PUBLIC;

-- In the writer's transaction, whoever writes: who sees the entity sees the note. The condition takes less than a microsecond.
CREATE TRIGGER entity_json_attribute_made AFTER INSERT ON entity
    FOR EACH ROW WHEN (NEW.doc @@ 'exists($.*.json) || exists($.*.valueList)') EXECUTE FUNCTION entity_json_attribute_noted();
CREATE TRIGGER entity_json_attribute_changed AFTER UPDATE ON entity
    FOR EACH ROW WHEN (NEW.doc @@ 'exists($.*.json) || exists($.*.valueList)') EXECUTE FUNCTION entity_json_attribute_noted();

-- Nobody writes entities between the triggers and this: they hold the table until the migration ends.
INSERT INTO entity_json_attribute (tenant_id, type_id, name)
SELECT DISTINCT e.tenant_id, t.id, a.key FROM entity e CROSS JOIN jsonb_each(e.doc) AS a CROSS JOIN unnest(e.types) AS t (id)
WHERE e.doc @@ 'exists($.*.json) || exists($.*.valueList)' AND a.value @@ 'exists($.json) || exists($.valueList)';
