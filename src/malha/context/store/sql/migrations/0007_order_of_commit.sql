-- Hot rows are read in order of commit: with the number in the index, a commit of the lake neither sorts nor looks at those it leaves for the next,
-- also where all came in one transaction.
CREATE INDEX observation_hot_order ON observation_hot (tenant_id, xid, seq);
DROP INDEX observation_hot_commits;
CREATE INDEX observation_packed_order ON observation_packed (tenant_id, xid, seq);
DROP INDEX observation_packed_commits;
