-- A tenant lets an organisation read some of its data, from one day to another.
CREATE TABLE agreement (
    tenant_id bigint NOT NULL REFERENCES organisation DEFERRABLE INITIALLY DEFERRED,  -- who gives
    id bigint GENERATED ALWAYS AS IDENTITY,
    grantee_id bigint NOT NULL REFERENCES organisation DEFERRABLE INITIALLY DEFERRED,  -- who may read
    types text[] NOT NULL CHECK (cardinality(types) > 0),
    attributes text[] NOT NULL DEFAULT '{}',  -- empty: all that are not about people
    area jsonb,  -- GeoJSON polygon in EPSG:4326; null: all
    grain text NOT NULL CHECK (grain IN ('raw', '15min', 'hour', 'day', 'month')),
    purpose text NOT NULL CHECK (purpose <> ''),
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz NOT NULL CHECK (valid_until > valid_from),
    signed_by text NOT NULL,
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id),
    CHECK (tenant_id <> grantee_id)
);
CREATE INDEX agreement_grantee ON agreement (grantee_id);

-- Who read what under an agreement, and when.
CREATE TABLE agreement_reading (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    agreement_id bigint NOT NULL,
    grantee_id bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reader text NOT NULL,
    what text NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, agreement_id) REFERENCES agreement DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX agreement_reading_of ON agreement_reading (tenant_id, agreement_id, at);

REVOKE ALL ON agreement, agreement_reading FROM malha_app;
GRANT SELECT, INSERT ON agreement, agreement_reading TO malha_app;
GRANT UPDATE (ended_at, ended_by) ON agreement TO malha_app;  -- what was agreed is never changed, only ended
