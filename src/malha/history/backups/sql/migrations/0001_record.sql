-- Copies of the whole installation, as its pages tell of them; the truth is in the place where the copies are.
CREATE TABLE backup_record (
    id text PRIMARY KEY,
    place text NOT NULL,
    made_at timestamptz NOT NULL,
    seconds double precision NOT NULL,
    bytes bigint NOT NULL,
    new_bytes bigint NOT NULL,
    encrypted boolean NOT NULL,
    reaches timestamptz,
    checked_at timestamptz,
    check_ok boolean,
    check_seconds double precision,
    check_reason text NOT NULL DEFAULT ''
);
CREATE TABLE backup_failure (
    at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    reason text NOT NULL
);
REVOKE ALL ON backup_record, backup_failure FROM malha_app;
GRANT SELECT ON backup_record, backup_failure TO malha_app;
