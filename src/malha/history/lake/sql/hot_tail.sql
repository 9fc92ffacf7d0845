-- Hot rows of one tenant after the watermark, in order of commit, up to a transaction that every reader sees (hot_until.sql).
SELECT o.tenant_id, t.name AS type, a.name AS attribute, o.entity_id, o.dataset_id, o.observed_at, o.kind, o.num, o.txt,
       u.name AS unit, o.quality, o.op, o.received_at, o.run_id, o.row_no::bigint AS row_no, o.seq, o.xid::text::bigint AS xid
FROM observations o
JOIN entity_type t ON t.id = o.type_id
JOIN attribute a ON a.id = o.attr_id
LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = {tenant_id} AND o.xid >= '{xid}'::xid8 AND (o.xid, o.seq) > ('{xid}'::xid8, {seq})
  AND o.xid <= '{until}'::xid8
ORDER BY o.xid, o.seq
LIMIT {limit}
