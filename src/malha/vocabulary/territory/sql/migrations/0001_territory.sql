-- Boundaries by edition. National ones are the operator's: the application reads, only the owner of the tables writes.
CREATE TABLE national_boundary (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    level text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    full_name text NOT NULL DEFAULT '',
    search text NOT NULL,
    sort_key text NOT NULL,
    dico text NOT NULL DEFAULT '',
    municipality text NOT NULL DEFAULT '',
    district text NOT NULL DEFAULT '',
    nuts3 text NOT NULL DEFAULT '',
    nuts2 text NOT NULL DEFAULT '',
    edition text NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    area_km2 double precision NOT NULL DEFAULT 0,
    bbox box NOT NULL,
    geometry bytea NOT NULL,
    UNIQUE (level, code, edition)
);
COMMENT ON TABLE national_boundary IS 'boundaries of the country, by edition; geometry is WKB in EPSG:4326';
CREATE INDEX national_boundary_bbox ON national_boundary USING gist (bbox);
REVOKE INSERT, UPDATE, DELETE ON national_boundary FROM malha_app;

CREATE TABLE territory_boundary (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    level text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    full_name text NOT NULL DEFAULT '',
    search text NOT NULL,
    sort_key text NOT NULL,
    dico text NOT NULL DEFAULT '',
    municipality text NOT NULL DEFAULT '',
    district text NOT NULL DEFAULT '',
    nuts3 text NOT NULL DEFAULT '',
    nuts2 text NOT NULL DEFAULT '',
    edition text NOT NULL,
    valid_from date NOT NULL,
    valid_to date,
    area_km2 double precision NOT NULL DEFAULT 0,
    bbox box NOT NULL,
    geometry bytea NOT NULL,
    UNIQUE (tenant_id, level, code, edition)
);
COMMENT ON TABLE territory_boundary IS 'boundaries of a tenant''s own, by edition; geometry is WKB in EPSG:4326';
CREATE INDEX territory_boundary_bbox ON territory_boundary USING gist (bbox);

-- Streets and their doors, imported by the tenant.
CREATE TABLE territory_street (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name text NOT NULL,
    search text NOT NULL,
    locality text NOT NULL DEFAULT '',
    parish text NOT NULL DEFAULT '',
    postal_code text NOT NULL DEFAULT '',
    longitude double precision NOT NULL,
    latitude double precision NOT NULL,
    source text NOT NULL,
    UNIQUE (tenant_id, source, search, locality, parish)
);
COMMENT ON COLUMN territory_street.search IS 'the name in lower case without accents, abbreviations opened';
CREATE INDEX territory_street_search ON territory_street USING gin (search gin_trgm_ops);

CREATE TABLE territory_door (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    street_id bigint NOT NULL REFERENCES territory_street (id) ON DELETE CASCADE,
    number text NOT NULL,
    number_value integer,
    postal_code text NOT NULL DEFAULT '',
    longitude double precision NOT NULL,
    latitude double precision NOT NULL
);
CREATE INDEX territory_door_street ON territory_door (tenant_id, street_id, number_value);
CREATE INDEX territory_door_postal_code ON territory_door (tenant_id, postal_code);
