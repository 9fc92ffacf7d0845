-- What DuckLake asks its catalogue by, so that the files of other tenants cost nothing.
CREATE INDEX IF NOT EXISTS malha_data_file ON ducklake_data_file (table_id);
CREATE INDEX IF NOT EXISTS malha_delete_file ON ducklake_delete_file (table_id);
CREATE INDEX IF NOT EXISTS malha_table_stats ON ducklake_table_stats (table_id);
CREATE INDEX IF NOT EXISTS malha_table_column_stats ON ducklake_table_column_stats (table_id);
CREATE INDEX IF NOT EXISTS malha_file_column_stats ON ducklake_file_column_stats (table_id, column_id)
