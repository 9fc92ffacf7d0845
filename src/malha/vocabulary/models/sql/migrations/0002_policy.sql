-- How strictly what is written is held to its model, by tenant and type; type '' is the tenant's rule for all others.
CREATE TABLE model_policy (
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    type text NOT NULL CHECK (length(type) <= 200),
    mode text NOT NULL DEFAULT 'off' CHECK (mode IN ('off', 'warn', 'enforce')),
    complete_address boolean NOT NULL DEFAULT false,
    usual_media text NOT NULL DEFAULT 'application/ld+json' CHECK (usual_media IN ('application/ld+json', 'application/json')),
    changed_by text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, type)
);
-- What was let in with a warning, counted by property and kind of fault; the last entity stands for the others.
CREATE TABLE model_warning (
    tenant_id bigint NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    type text NOT NULL,
    path text NOT NULL,
    code text NOT NULL,
    sentence text NOT NULL,
    example_uri text NOT NULL,
    count bigint NOT NULL DEFAULT 0,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, type, path, code)
);
