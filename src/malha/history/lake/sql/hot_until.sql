-- The transaction up to which about {limit} hot rows of one tenant lie after the watermark, and how many these are: only these are unpacked.
SELECT max(xid)::text AS until, sum(n)::bigint AS rows FROM (
    SELECT xid, n, sum(n) OVER (ORDER BY xid) AS total FROM (
        SELECT xid, sum(n) AS n FROM (
            SELECT xid, 1 AS n FROM observation_hot
            WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
            UNION ALL
            SELECT xid, CASE WHEN xid = '{xid}'::xid8 THEN least(size, seq + size - 1 - {seq}) ELSE size END FROM observation_packed
            WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ) AS every GROUP BY xid
    ) AS sums
) AS walked WHERE total - n <= {limit}
