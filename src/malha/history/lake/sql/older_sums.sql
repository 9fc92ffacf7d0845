-- Schemas of tenants whose sums were made before months and sketches were kept.
SELECT s.schema_name
FROM ducklake_schema s
JOIN ducklake_table o ON o.schema_id = s.schema_id AND o.table_name = 'observation' AND o.end_snapshot IS NULL
WHERE s.end_snapshot IS NULL
  AND NOT EXISTS (SELECT 1 FROM ducklake_table m WHERE m.schema_id = s.schema_id AND m.table_name = 'rollup_month' AND m.end_snapshot IS NULL)
ORDER BY s.schema_id
