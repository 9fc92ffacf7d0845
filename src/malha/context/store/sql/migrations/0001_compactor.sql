-- The compactor reads what all tenants received, takes away what it moved, and names things in the lake.
CREATE POLICY observation_hot_compactor ON observation_hot TO malha_compactor USING (true);
GRANT SELECT, DELETE ON observation_hot TO malha_compactor;
CREATE POLICY entity_compactor ON entity FOR SELECT TO malha_compactor USING (true);
CREATE POLICY entity_deleted_compactor ON entity_deleted FOR SELECT TO malha_compactor USING (true);
CREATE POLICY undone_run_compactor ON undone_run TO malha_compactor USING (true);
GRANT SELECT ON entity, entity_deleted TO malha_compactor;
GRANT SELECT, DELETE ON undone_run TO malha_compactor;
SELECT observation_partitions_ahead(7);
