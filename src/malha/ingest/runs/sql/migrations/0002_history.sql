-- Loads straight into history are a kind of their own: pages show them otherwise, and one that was cut short goes on by another road.
ALTER TABLE ingest_run DROP CONSTRAINT ingest_run_kind_check;
ALTER TABLE ingest_run ADD CONSTRAINT ingest_run_kind_check CHECK (kind IN ('file', 'source', 'mended', 'history', 'other'));
