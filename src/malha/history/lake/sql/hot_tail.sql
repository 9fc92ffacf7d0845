-- Hot rows of one tenant after the watermark, up to a transaction that every reader sees (hot_until.sql). Ordered only where they are too many for one commit.
SELECT o.type_id, o.attr_id, o.entity_id, o.dataset_id, o.observed_at, o.kind, o.num, o.txt, o.unit_id, o.quality, o.op, o.received_at, o.run_id,
       o.row_no::bigint AS row_no, o.seq, o.xid::text::bigint AS xid
FROM observations o
WHERE o.tenant_id = {tenant_id} AND o.xid >= '{xid}'::xid8 AND (o.xid, o.seq) > ('{xid}'::xid8, {seq})
  AND o.xid <= '{until}'::xid8
{order}
