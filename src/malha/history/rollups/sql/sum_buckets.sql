-- Days summed from hours, or months from days. `local_buckets` says in which coarse bucket each fine one lies.
INSERT INTO lake.{schema}.{table}
WITH fine AS (
    SELECT h.*, d.starts FROM lake.{schema}.{source} AS h JOIN local_buckets AS d ON h.bucket = d.bucket
    {only_touched}
    WHERE h.bucket >= $first AND h.bucket < $last
), counted AS (
    SELECT attribute, entity_id, dataset_id, unit, starts, e.key AS key, sum(e.value)::INTEGER AS n
    FROM (SELECT attribute, entity_id, dataset_id, unit, starts, unnest(map_entries(sketch)) AS e FROM fine) GROUP BY ALL
), sketched AS (
    SELECT attribute, entity_id, dataset_id, unit, starts, map(list(key ORDER BY key), list(n ORDER BY key)) AS sketch FROM counted GROUP BY ALL
), summed AS (
    SELECT any_value(tenant_id) AS tenant_id, any_value(type) AS type, attribute, entity_id, dataset_id, unit, starts,
           sum(count)::BIGINT AS count, sum(sum) AS sum, min(minimum) AS minimum, max(maximum) AS maximum,
           arg_min(first, bucket) AS first, arg_max(last, bucket) AS last
    FROM fine GROUP BY attribute, entity_id, dataset_id, unit, starts
)
SELECT s.tenant_id, s.type, s.attribute, s.entity_id, s.dataset_id, s.unit, s.starts, s.count, s.sum, s.minimum, s.maximum, s.first, s.last, k.sketch
FROM summed AS s JOIN sketched AS k
  ON k.attribute = s.attribute AND k.entity_id = s.entity_id AND k.dataset_id = s.dataset_id AND k.unit IS NOT DISTINCT FROM s.unit AND k.starts = s.starts
ORDER BY s.type, s.attribute, s.entity_id, s.starts;
