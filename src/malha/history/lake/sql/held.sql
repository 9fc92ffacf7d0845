-- How many rows the files of each table hold.
SELECT s.schema_name, t.table_name, sum(f.record_count)::bigint AS rows
FROM ducklake_schema s
JOIN ducklake_table t ON t.schema_id = s.schema_id AND t.end_snapshot IS NULL
JOIN ducklake_data_file f ON f.table_id = t.table_id AND f.end_snapshot IS NULL
WHERE s.end_snapshot IS NULL AND s.schema_name = ANY(%s)
GROUP BY 1, 2
