-- What happened, written in the transaction in which it happened (data-plane 11).
CREATE TABLE outbox (
    tenant_id bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    payload jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, xid, seq)
);
CREATE INDEX outbox_order ON outbox (xid, seq);

-- How far each consumer has come: everything up to (xid, seq) was handed to it.
CREATE TABLE outbox_position (
    consumer text PRIMARY KEY,
    xid xid8 NOT NULL,
    seq bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Events that a consumer refused again and again: set aside so that the rest goes on, with the reason.
CREATE TABLE outbox_failure (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    consumer text NOT NULL,
    name text NOT NULL,
    payload jsonb NOT NULL,
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, id)
);

REVOKE ALL ON outbox, outbox_position, outbox_failure FROM malha_app;
GRANT SELECT, INSERT ON outbox TO malha_app;
GRANT SELECT ON outbox_failure TO malha_app;
-- the dispatcher reads every tenant's events, in order; what it hands on runs as malha_app within one tenant
GRANT SELECT, DELETE ON outbox TO malha_compactor;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox_position TO malha_compactor;
GRANT SELECT, INSERT ON outbox_failure TO malha_compactor;
CREATE POLICY outbox_dispatcher ON outbox TO malha_compactor USING (true);
CREATE POLICY outbox_failure_dispatcher ON outbox_failure TO malha_compactor USING (true) WITH CHECK (true);
