-- Data models that somebody imported or made; built-in ones are files. Every revision is kept, the newest serves.
CREATE TABLE data_model (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    type text NOT NULL CHECK (type <> '' AND length(type) <= 200),
    revision integer NOT NULL CHECK (revision > 0),
    version text NOT NULL,
    origin text NOT NULL DEFAULT '',
    document jsonb NOT NULL,
    schema jsonb,
    saved_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, type, revision)
);
COMMENT ON TABLE data_model IS 'data models of one tenant, by revision';

-- Imported by the operator for everybody: the application reads, only the owner of the tables writes.
CREATE TABLE national_data_model (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL CHECK (type <> '' AND length(type) <= 200),
    revision integer NOT NULL CHECK (revision > 0),
    version text NOT NULL,
    origin text NOT NULL DEFAULT '',
    document jsonb NOT NULL,
    schema jsonb,
    saved_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (type, revision)
);
COMMENT ON TABLE national_data_model IS 'data models that every tenant may use, by revision';
REVOKE INSERT, UPDATE, DELETE ON national_data_model FROM malha_app;
