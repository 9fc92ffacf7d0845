-- The tables of one tenant, in a schema of their own: DuckLake writes the files of deleted rows beside the table and
-- not beside the partition, so only a folder per schema lets a reader be locked to one tenant (docs/adr).
CREATE SCHEMA lake.{schema};
CREATE TABLE lake.{schema}.observation (
    tenant_id BIGINT, type VARCHAR, attribute VARCHAR, entity_id BIGINT, dataset_id INTEGER, observed_at TIMESTAMPTZ,
    kind SMALLINT, num DOUBLE, txt VARCHAR, unit VARCHAR, quality SMALLINT, op SMALLINT,
    received_at TIMESTAMPTZ, run_id BIGINT, row_no BIGINT, seq BIGINT, month INTEGER
);
ALTER TABLE lake.{schema}.observation SET PARTITIONED BY (month);
ALTER TABLE lake.{schema}.observation SET SORTED BY (type ASC, attribute ASC, entity_id ASC, observed_at ASC);
-- (month is 202611: working it out of an instant with a zone inside the writer took more than all the rest.)
-- What a later value replaced: undoing a run brings back what it had, and a corrected value can say what it was.
CREATE TABLE lake.{schema}.superseded (
    tenant_id BIGINT, type VARCHAR, attribute VARCHAR, entity_id BIGINT, dataset_id INTEGER, observed_at TIMESTAMPTZ,
    kind SMALLINT, num DOUBLE, txt VARCHAR, unit VARCHAR, quality SMALLINT, op SMALLINT,
    received_at TIMESTAMPTZ, run_id BIGINT, row_no BIGINT, seq BIGINT, by_run BIGINT, by_seq BIGINT, replaced_at TIMESTAMPTZ
);
CREATE TABLE lake.{schema}.entity_dim (tenant_id BIGINT, entity_id BIGINT, uri VARCHAR, type VARCHAR, name VARCHAR, parish VARCHAR);
