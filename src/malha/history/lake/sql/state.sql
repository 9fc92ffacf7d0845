-- Whether this lake was made, whether its loads of several commits can be told apart, and whether rows are given to it in order.
SELECT EXISTS (SELECT 1 FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)
               WHERE s.schema_name = 'main' AND t.table_name = 'upkeep' AND t.end_snapshot IS NULL) AS made,
       EXISTS (SELECT 1 FROM ducklake_column c JOIN ducklake_table t ON t.table_id = c.table_id AND t.end_snapshot IS NULL
               WHERE t.table_name = 'bulk_run' AND c.column_name = 'part' AND c.end_snapshot IS NULL) AS parts,
       EXISTS (SELECT 1 FROM ducklake_metadata WHERE key = 'sort_on_insert') AS unsorted,
       to_regclass('malha_file_column_stats') IS NOT NULL AS indexed
