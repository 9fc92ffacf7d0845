-- Hot rows of one tenant after the watermark that came one by one, whole, in order of commit as an index has it.
SELECT type_id, attr_id, entity_id, dataset_id, observed_at, kind, num, txt, unit_id, quality, op, received_at, run_id, row_no::bigint AS row_no, seq
FROM observation_hot AS o
WHERE tenant_id = {tenant_id} AND (xid, seq) > ('{xid}'::xid8, {seq}) AND {bound} AND {unlike}
ORDER BY o.xid, o.seq LIMIT {limit}
