-- Hot rows of one tenant after the watermark that came one by one, in order of commit as an index has it: the columns that differ,
-- and of which shape the others are (null: of none that is known).
SELECT {shape}::smallint AS shape, entity_id, observed_at, num, received_at, seq{more}
FROM observation_hot AS o
WHERE tenant_id = {tenant_id} AND (xid, seq) > ('{xid}'::xid8, {seq}) AND {bound}
ORDER BY o.xid, o.seq LIMIT {limit}
