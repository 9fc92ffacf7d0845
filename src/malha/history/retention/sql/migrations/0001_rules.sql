-- How long a tenant keeps each value of a type, where it is not as the model says; and what the law, or somebody, keeps from going.
CREATE TABLE retention_rule (
    tenant_id bigint NOT NULL,
    type text NOT NULL,
    keep text NOT NULL DEFAULT '' CHECK (keep ~ '^(P[1-9][0-9]{0,3}[DMY])?$'),
    as_model boolean NOT NULL DEFAULT false,
    on_hold boolean NOT NULL DEFAULT false,
    hold_reason text NOT NULL DEFAULT '' CHECK (on_hold = (hold_reason <> '')),
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, type)
);
-- What went, and when.
CREATE TABLE retention_run (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL,
    before timestamptz NOT NULL,
    rows bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
