-- Hot rows of one tenant after the watermark and up to a cut (hot_cut.sql), those that came one by one.
SELECT type_id, attr_id, entity_id, dataset_id, observed_at, kind, num, txt, unit_id, quality, op, received_at, run_id, row_no::bigint AS row_no, seq
FROM observation_hot
WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq) > ('{xid}'::xid8, {seq}) AND xid <= '{until}'::xid8 AND (xid, seq) <= ('{until}'::xid8, {last})
