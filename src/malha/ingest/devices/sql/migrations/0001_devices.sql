-- What the messages of a kind of device become.
CREATE TABLE device_profile (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    entity_type text NOT NULL,
    rules jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, id)
);
-- One way in: an address with a key (only its hash is kept), or a subscription at an MQTT broker (its password is sealed).
CREATE TABLE device_door (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('json', 'chirpstack', 'tts', 'mqtt')),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    key_hash bytea,
    hint text NOT NULL DEFAULT '',
    settings jsonb NOT NULL DEFAULT '{}',
    sealed bytea,
    active boolean NOT NULL DEFAULT true,
    profile_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_heard_at timestamptz,
    last_error text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES device_profile (tenant_id, id)
);
CREATE TABLE device (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    door_id bigint NOT NULL,
    external_id text NOT NULL CHECK (octet_length(external_id) BETWEEN 1 AND 512),
    name text NOT NULL DEFAULT '',
    entity_uri text NOT NULL DEFAULT '',
    profile_id bigint,
    battery_percent real,
    signal_dbm real,
    longitude double precision,
    latitude double precision,
    placed_at timestamptz,
    last_heard_at timestamptz,
    last_reason text NOT NULL DEFAULT '',
    replaced text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, door_id, external_id),
    FOREIGN KEY (tenant_id, door_id) REFERENCES device_door (tenant_id, id),
    FOREIGN KEY (tenant_id, profile_id) REFERENCES device_profile (tenant_id, id)
);
CREATE INDEX device_by_silence ON device (tenant_id, last_heard_at);
-- Messages as they came, before anything is made of them; they go after thirty days.
CREATE TABLE device_message (
    tenant_id bigint NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    door_id bigint NOT NULL,
    device_id bigint,
    received_at timestamptz NOT NULL DEFAULT now(),
    digest bytea NOT NULL,
    topic text NOT NULL DEFAULT '',
    payload jsonb NOT NULL,
    state smallint NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, seq)
);
CREATE UNIQUE INDEX device_message_once ON device_message (tenant_id, door_id, digest);
CREATE INDEX device_message_of_device ON device_message (tenant_id, device_id, seq DESC);
CREATE INDEX device_message_waiting ON device_message (tenant_id, device_id, seq) WHERE state = 0;
CREATE INDEX device_message_age ON device_message (tenant_id, received_at);
