-- Columns of this version that a tenant's tables of an older one lack.
SELECT s.schema_name, w.table_name, w.column_name, w.kind
FROM ducklake_schema s
JOIN ducklake_table t ON t.schema_id = s.schema_id AND t.end_snapshot IS NULL
JOIN unnest(%(tables)s::text[], %(columns)s::text[], %(kinds)s::text[]) AS w(table_name, column_name, kind) ON w.table_name = t.table_name
WHERE s.end_snapshot IS NULL
  AND EXISTS (SELECT 1 FROM ducklake_table o WHERE o.schema_id = s.schema_id AND o.table_name = 'observation' AND o.end_snapshot IS NULL)
  AND NOT EXISTS (SELECT 1 FROM ducklake_column c WHERE c.table_id = t.table_id AND c.column_name = w.column_name AND c.end_snapshot IS NULL)
