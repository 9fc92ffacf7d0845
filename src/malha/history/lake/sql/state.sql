-- Whether this lake was made, whether its loads of several commits can be told apart, whether rows are given to it in order,
-- whether it packs as many together as now, and whether it can note months without sums by the hour.
SELECT EXISTS (SELECT 1 FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)
               WHERE s.schema_name = 'main' AND t.table_name = 'upkeep' AND t.end_snapshot IS NULL) AS made,
       EXISTS (SELECT 1 FROM ducklake_column c JOIN ducklake_table t ON t.table_id = c.table_id AND t.end_snapshot IS NULL
               WHERE t.table_name = 'bulk_run' AND c.column_name = 'part' AND c.end_snapshot IS NULL) AS parts,
       EXISTS (SELECT 1 FROM ducklake_metadata WHERE key = 'sort_on_insert') AS unsorted,
       EXISTS (SELECT 1 FROM ducklake_metadata WHERE key = 'parquet_row_group_size' AND value = %(group)s) AS grouped,
       to_regclass('malha_file_column_stats') IS NOT NULL AS indexed,
       EXISTS (SELECT 1 FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)
               WHERE s.schema_name = 'main' AND t.table_name = 'coarse_month' AND t.end_snapshot IS NULL) AS thin
