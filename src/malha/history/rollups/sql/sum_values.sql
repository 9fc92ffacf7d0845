-- Buckets of an hour or a quarter of one, summed again from the observations (this transaction's own included).
INSERT INTO lake.{schema}.{table}
SELECT any_value(o.tenant_id), any_value(o.type) AS type, o.attribute, o.entity_id, o.dataset_id, o.unit, {bucket} AS bucket,
       count(o.num), sum(o.num), min(o.num), max(o.num), arg_min(o.num, o.observed_at), arg_max(o.num, o.observed_at), any_value({month}),
       {sketch}
FROM {source} AS o
{only_touched}
WHERE o.num IS NOT NULL AND o.observed_at >= $first AND o.observed_at < $last
GROUP BY o.entity_id, o.attribute, o.dataset_id, o.unit, bucket
ORDER BY type, o.attribute, o.entity_id, bucket;
