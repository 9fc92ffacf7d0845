-- The read-only SQL login of a tenant: views in schema hub, walled by who is signed in and by nothing that a session can set.

-- Which login belongs to which tenant. Nobody but the owner writes it; `session_user` cannot be changed by its own session.
CREATE TABLE hub_login (
    tenant_id bigint NOT NULL,
    role_name text NOT NULL UNIQUE CHECK (role_name ~ '^[a-z0-9_]{1,63}$'),
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, role_name)
);
-- Attributes that may be seen by SQL: those that are not listed stay out, so that a new one about people never slips through.
CREATE TABLE hub_column (
    tenant_id bigint NOT NULL,
    type_name text NOT NULL,
    attribute text NOT NULL,
    PRIMARY KEY (tenant_id, type_name, attribute)
);
-- Sums by day kept for SQL; the lake itself is not reachable from here.
CREATE TABLE hub_day (
    tenant_id bigint NOT NULL,
    type_name text NOT NULL,
    entity text NOT NULL,
    attribute text NOT NULL,
    instance text NOT NULL DEFAULT '',
    starts_at timestamptz NOT NULL,
    unit text NOT NULL DEFAULT '',
    count bigint NOT NULL,
    sum double precision,
    minimum double precision,
    maximum double precision,
    last double precision,
    PRIMARY KEY (tenant_id, type_name, attribute, entity, instance, starts_at, unit)
);
REVOKE INSERT, UPDATE, DELETE ON hub_login FROM malha_app;

CREATE SCHEMA hub;
CREATE FUNCTION hub.tenant() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$ SELECT l.tenant_id FROM public.hub_login l WHERE l.role_name = session_user $$;
REVOKE ALL ON FUNCTION hub.tenant() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hub.tenant() TO malha_view;

GRANT USAGE, CREATE ON SCHEMA hub TO malha_view;
GRANT SELECT ON observation_hot, hub_column, hub_day, entity_type, attribute, unit TO malha_view;
CREATE POLICY observation_hot_view ON observation_hot FOR SELECT TO malha_view USING (true);

-- security_barrier: whoever signs in writes the SQL, so nothing of theirs may look at a row before the wall has.
CREATE VIEW hub.entity WITH (security_barrier) AS
SELECT e.uri AS id, t.name AS type,
       (SELECT jsonb_object_agg(a.key, coalesce(a.value -> 'value', a.value -> 'object', a.value -> 'languageMap' -> 'pt', a.value -> 'vocab'))
        FROM jsonb_each(e.doc) a JOIN public.hub_column c ON c.tenant_id = e.tenant_id AND c.type_name = t.name AND c.attribute = a.key) AS properties,
       CASE WHEN e.geom IS NULL THEN (e.bbox[1])[0] END AS longitude, CASE WHEN e.geom IS NULL THEN (e.bbox[1])[1] END AS latitude,
       e.created_at, e.modified_at
FROM public.entity e JOIN public.entity_type t ON t.id = e.type_id
WHERE e.tenant_id = (SELECT hub.tenant());

CREATE VIEW hub.observation WITH (security_barrier) AS
SELECT DISTINCT ON (e.uri, a.name, o.dataset_id, o.observed_at)
       e.uri AS entity, t.name AS type, a.name AS attribute, o.observed_at, o.num AS value, o.txt AS text, u.name AS unit
FROM public.observation_hot o
JOIN public.entity e ON e.tenant_id = o.tenant_id AND e.id = o.entity_id
JOIN public.entity_type t ON t.id = o.type_id
JOIN public.attribute a ON a.id = o.attr_id
JOIN public.hub_column c ON c.tenant_id = o.tenant_id AND c.type_name = t.name AND c.attribute = a.name
LEFT JOIN public.unit u ON u.id = o.unit_id
WHERE o.tenant_id = (SELECT hub.tenant()) AND o.op = 0
ORDER BY e.uri, a.name, o.dataset_id, o.observed_at, o.seq DESC;

CREATE VIEW hub.day WITH (security_barrier) AS
SELECT d.type_name AS type, d.entity, d.attribute, d.instance, d.starts_at, d.unit, d.count, d.sum, d.sum / nullif(d.count, 0) AS average, d.minimum, d.maximum, d.last
FROM public.hub_day d
JOIN public.hub_column c ON c.tenant_id = d.tenant_id AND c.type_name = d.type_name AND c.attribute = d.attribute
WHERE d.tenant_id = (SELECT hub.tenant());

ALTER VIEW hub.entity OWNER TO malha_view;
ALTER VIEW hub.observation OWNER TO malha_view;
ALTER VIEW hub.day OWNER TO malha_view;
REVOKE CREATE ON SCHEMA hub FROM malha_view;
