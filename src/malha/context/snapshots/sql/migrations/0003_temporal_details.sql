-- How each of snapshotTemporalQueries went (GS CIM 009 §5.2.41), beside `details` of snapshotQueries.
ALTER TABLE snapshot ADD COLUMN temporal_details jsonb NOT NULL DEFAULT '[]';
