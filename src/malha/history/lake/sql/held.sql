-- How many rows the files of each table hold, and the latest instant that was ever put into the observations.
SELECT s.schema_name, t.table_name, sum(f.record_count)::bigint AS rows, max((
    SELECT c.max_value FROM ducklake_table_column_stats c
    JOIN ducklake_column k ON k.table_id = c.table_id AND k.column_id = c.column_id AND k.end_snapshot IS NULL
    WHERE c.table_id = t.table_id AND t.table_name = 'observation' AND k.column_name = 'observed_at'
)) AS newest
FROM ducklake_schema s
JOIN ducklake_table t ON t.schema_id = s.schema_id AND t.end_snapshot IS NULL
JOIN ducklake_data_file f ON f.table_id = t.table_id AND f.end_snapshot IS NULL
WHERE s.end_snapshot IS NULL AND s.schema_name = ANY(%s)
GROUP BY 1, 2
