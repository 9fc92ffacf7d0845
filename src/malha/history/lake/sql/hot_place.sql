-- The transaction of one row.
SELECT xid::text AS xid FROM observation_hot
WHERE tenant_id = {tenant_id} AND entity_id = {entity_id} AND observed_at = '{observed_at}' AND received_at = '{received_at}' AND seq = {last}
