-- Where to cut the first transaction after the watermark, so that at most about {limit} of its hot rows lie before: rows of arrays stay whole.
-- Numbers are unique, so that no more than {limit} rows lie in so long a stretch of them; nothing needs to be put in order.
WITH first AS (
    SELECT min(xid) AS xid FROM (
        SELECT min(xid) AS xid FROM observation_hot
        WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
        UNION ALL
        SELECT min(xid) FROM observation_packed
        WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ) AS both_kinds
), given AS NOT MATERIALIZED (
    SELECT xid, seq, 1 AS n FROM observation_hot
    WHERE tenant_id = {tenant_id} AND xid = (SELECT xid FROM first) AND (xid, seq) > ('{xid}'::xid8, {seq})
    UNION ALL
    SELECT xid, seq + size - 1, CASE WHEN xid = '{xid}'::xid8 THEN least(size, seq + size - 1 - {seq}) ELSE size END FROM observation_packed
    WHERE tenant_id = {tenant_id} AND xid = (SELECT xid FROM first) AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq})
)
SELECT xid::text AS xid, max(seq) AS seq, sum(n)::bigint AS rows, true AS more FROM given WHERE seq < (SELECT min(seq) FROM given) + {limit} GROUP BY xid
