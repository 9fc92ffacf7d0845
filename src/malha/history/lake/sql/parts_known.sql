-- Whether loads of several commits can be told apart in this lake.
SELECT 1
FROM ducklake_column c
JOIN ducklake_table t ON t.table_id = c.table_id AND t.end_snapshot IS NULL
WHERE t.table_name = 'bulk_run' AND c.column_name = 'part' AND c.end_snapshot IS NULL
