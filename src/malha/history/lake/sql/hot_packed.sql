-- The same of those that came in arrays: they cross the wire as arrays. `passed` elements are in the lake already.
SELECT type_id, attr_id, entity_id, observed_at, kind, num, txt, unit_id, received_at, run_id, row_no, seq,
       CASE WHEN xid = '{xid}'::xid8 THEN greatest(0, {seq} - seq + 1) ELSE 0 END AS passed
FROM observation_packed
WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq})
  AND xid <= '{until}'::xid8 AND (xid, seq + size - 1) <= ('{until}'::xid8, {last})
