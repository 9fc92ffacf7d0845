-- An entity of which a snapshot holds only how it evolved is not among those that it holds as they are.
ALTER TABLE snapshot_entity ADD COLUMN present boolean NOT NULL DEFAULT true;

-- How the entities of a snapshot evolved (GS CIM 009 §5.2.41 snapshotTemporalQueries): what was kept of it, and what was written inside since; as in observation_hot.
CREATE TABLE snapshot_observation (
    tenant_id bigint NOT NULL,
    snapshot_id bigint NOT NULL,
    place int NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY,
    attr_id int NOT NULL,
    dataset_id int NOT NULL DEFAULT 0,
    observed_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    kind smallint NOT NULL,
    op smallint NOT NULL DEFAULT 0,
    num double precision,
    txt text,
    unit_id int,
    PRIMARY KEY (tenant_id, snapshot_id, place, seq),
    FOREIGN KEY (tenant_id, snapshot_id, place) REFERENCES snapshot_entity (tenant_id, snapshot_id, place) ON DELETE CASCADE
);
