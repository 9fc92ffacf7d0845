-- Which entities answered a question (GS CIM 009 §5.2.39), so that its pages go on with the same ones; `places` are those that other sources have a part of.
CREATE TABLE entity_map (
    tenant_id bigint NOT NULL,
    id text NOT NULL,
    subject text NOT NULL,
    temporal boolean NOT NULL,
    uris text[] NOT NULL,
    places jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX entity_map_expiry ON entity_map (tenant_id, expires_at);
