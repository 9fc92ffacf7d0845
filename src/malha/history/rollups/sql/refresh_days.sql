-- The touched days of the tenant's zone, summed again from the hours. `local_hours` says in which day each lies.
INSERT INTO lake.{schema}.rollup_day
SELECT h.tenant_id, h.type, h.attribute, h.entity_id, h.dataset_id, h.unit, d.starts AS bucket,
       sum(h.count)::BIGINT, sum(h.sum), min(h.minimum), max(h.maximum), arg_min(h.first, h.bucket), arg_max(h.last, h.bucket)
FROM lake.{schema}.rollup_hour AS h
JOIN local_hours AS d ON h.bucket = d.hour
{only_touched}
WHERE h.bucket >= $first AND h.bucket < $last
GROUP BY ALL
ORDER BY h.type, h.attribute, h.entity_id, d.starts;
