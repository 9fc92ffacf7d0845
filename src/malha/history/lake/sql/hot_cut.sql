-- Up to which transaction at most {limit} hot rows of one tenant lie after the watermark, how many these are, and whether there are more.
-- Only whole transactions that every reader sees; no row if the first alone has more (then hot_split.sql says where to cut it).
WITH single AS ( -- in the order of an index, and counted as they come
    SELECT xid, max(seq) AS seq, count(*) AS n FROM (
        SELECT xid, seq FROM observation_hot
        WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid LIMIT {limit} + 1
    ) AS given GROUP BY xid
), packed AS (
    SELECT xid, seq + size - 1 AS seq, CASE WHEN xid = '{xid}'::xid8 THEN least(size, seq + size - 1 - {seq}) ELSE size END AS n FROM observation_packed
    WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid LIMIT {limit} / {packed} + 1
), broken AS ( -- transactions from here on were not looked at whole
    SELECT min(xid) AS xid FROM (
        SELECT max(xid) AS xid FROM single HAVING sum(n) > {limit} UNION ALL SELECT max(xid) FROM packed HAVING count(*) > {limit} / {packed}
    ) AS ends
), walked AS (
    SELECT xid, max(seq) AS seq, sum(sum(n)) OVER (ORDER BY xid) AS total, max(xid) OVER () AS last
    FROM (SELECT * FROM single UNION ALL SELECT * FROM packed) AS every GROUP BY xid
)
SELECT w.xid::text AS xid, w.seq, w.total::bigint AS rows, w.xid < w.last AS more FROM walked w, broken b
WHERE w.total <= {limit} AND (b.xid IS NULL OR w.xid < b.xid) ORDER BY w.xid DESC LIMIT 1
