-- What clients of SensorThings declare beside what entities say: sensors, observed properties and features of interest.
CREATE TABLE sensorthings_element (
    tenant_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL CHECK (kind IN ('Sensor', 'ObservedProperty', 'FeatureOfInterest')),
    doc jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX sensorthings_element_of_kind ON sensorthings_element (tenant_id, kind, id);
-- A datastream that was declared: its words, its sensor and its observed property. The values are the entity's.
CREATE TABLE sensorthings_datastream (
    tenant_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    attr_id int NOT NULL,
    dataset_id int NOT NULL DEFAULT 0,
    sensor text,
    property text,
    doc jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, entity_id, attr_id, dataset_id)
);
-- What an observation says beside its value and instant; only for those that say more.
CREATE TABLE sensorthings_note (
    tenant_id bigint NOT NULL,
    entity_id bigint NOT NULL,
    attr_id int NOT NULL,
    dataset_id int NOT NULL DEFAULT 0,
    observed_at timestamptz NOT NULL,
    feature_id bigint,
    doc jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, entity_id, attr_id, dataset_id, observed_at)
);
CREATE INDEX sensorthings_note_of_feature ON sensorthings_note (tenant_id, feature_id) WHERE feature_id IS NOT NULL;
