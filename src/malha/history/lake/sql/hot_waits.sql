-- Whether a tenant has hot rows of any of these attributes (some may be in the lake already).
SELECT EXISTS (SELECT 1 FROM observation_hot h JOIN attribute a ON a.id = h.attr_id WHERE h.tenant_id = %(tenant_id)s AND a.name = ANY(%(attributes)s))
    OR EXISTS (SELECT 1 FROM observation_packed p JOIN attribute a ON a.id = p.attr_id WHERE p.tenant_id = %(tenant_id)s AND a.name = ANY(%(attributes)s))
