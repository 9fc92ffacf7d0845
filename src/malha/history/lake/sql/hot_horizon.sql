-- Before which transaction all have ended; and how far the arrays of one tenant after the watermark go with at most about {limit} values
-- (no less than one row of arrays): their last value in order of commit, how many they are, whether there are more. And of the first {looked_at} rows that
-- came one by one, what most columns say, and of how many rows.
WITH given AS (
    SELECT xid, seq, size FROM observation_packed
    WHERE tenant_id = {tenant_id} AND xid >= '{xid}'::xid8 AND (xid, seq + size - 1) > ('{xid}'::xid8, {seq}) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, seq LIMIT {limit} / {packed} + 2
), walked AS (
    SELECT xid, seq + size - 1 AS last, sum(size) OVER w AS total, row_number() OVER w AS place, count(*) OVER () AS places FROM given WINDOW w AS (ORDER BY xid, seq)
)
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, w.xid::text AS xid, w.last, coalesce(w.total, 0)::bigint AS total, coalesce(w.place < w.places, false) AS more,
    (SELECT json_agg(s) FROM (
        SELECT type_id, attr_id, dataset_id, kind, unit_id, quality, op, run_id, txt IS NOT NULL AS texts, row_no IS NOT NULL AS lines, count(*) AS rows
        FROM (SELECT * FROM observation_hot o WHERE tenant_id = {tenant_id} AND (xid, seq) > ('{xid}'::xid8, {seq}) ORDER BY o.xid, o.seq LIMIT {looked_at}) AS first
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY count(*) DESC) AS s)::text AS shapes
FROM (SELECT) AS always LEFT JOIN (SELECT * FROM walked WHERE total <= {limit} OR place = 1 ORDER BY place DESC LIMIT 1) AS w ON true
