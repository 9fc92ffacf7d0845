-- Who wrote a value that took the place of another, where no load says it: `seq` is its number in history, hot or in the lake.
CREATE TABLE observation_author (
    tenant_id bigint NOT NULL,
    seq bigint NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);
