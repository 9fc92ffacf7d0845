-- What loads keep in arrays is read by SQL too. (The view `observations` asks with the rights of who signs in, who has none.)
GRANT SELECT ON observation_packed TO malha_view;
CREATE POLICY observation_packed_view ON observation_packed FOR SELECT TO malha_view USING (true);
CREATE OR REPLACE VIEW hub.observation WITH (security_barrier) AS
SELECT DISTINCT ON (e.uri, a.name, o.dataset_id, o.observed_at)
       e.uri AS entity, t.name AS type, a.name AS attribute, o.observed_at, o.num AS value, o.txt AS text, u.name AS unit
FROM (
    SELECT h.tenant_id, h.entity_id, h.type_id, h.attr_id, h.dataset_id, h.unit_id, h.observed_at, h.num, h.txt, h.seq
    FROM public.observation_hot h WHERE h.tenant_id = (SELECT hub.tenant()) AND h.op = 0
    UNION ALL
    SELECT p.tenant_id, p.entity_id, p.type_id, p.attr_id, 0, p.unit_id, v.observed_at, v.num, v.txt, p.seq + v.n - 1
    FROM public.observation_packed p CROSS JOIN LATERAL unnest(p.observed_at, p.num, p.txt) WITH ORDINALITY AS v (observed_at, num, txt, n)
    WHERE p.tenant_id = (SELECT hub.tenant())
) o
JOIN public.entity e ON e.tenant_id = o.tenant_id AND e.id = o.entity_id
JOIN public.entity_type t ON t.id = o.type_id
JOIN public.attribute a ON a.id = o.attr_id
JOIN public.hub_column c ON c.tenant_id = o.tenant_id AND c.type_name = t.name AND c.attribute = a.name
LEFT JOIN public.unit u ON u.id = o.unit_id
ORDER BY e.uri, a.name, o.dataset_id, o.observed_at, o.seq DESC;
