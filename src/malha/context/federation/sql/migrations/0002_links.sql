-- Installations that joined: what each gives the other, by which machine the other side reads here, which source here is the other side.
CREATE TABLE federation_link (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    invited boolean NOT NULL DEFAULT false,
    url text NOT NULL DEFAULT '',
    client_id text NOT NULL DEFAULT '',
    machine_id bigint,
    registration_uri text NOT NULL DEFAULT '',
    sealed bytea,
    gives jsonb NOT NULL DEFAULT '{}',
    takes jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    joined_at timestamptz,
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX federation_link_client ON federation_link (tenant_id, client_id);
