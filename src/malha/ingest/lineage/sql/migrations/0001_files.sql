-- Files as they came: the bytes lie in the files folder under <tenant>/<sha256>.
CREATE TABLE ingest_file (
    tenant_id bigint NOT NULL,
    sha256 text NOT NULL CHECK (length(sha256) = 64),
    name text NOT NULL,
    bytes bigint NOT NULL,
    origin text NOT NULL DEFAULT '',
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256)
);
