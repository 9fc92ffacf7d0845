-- What the numbers in hot rows stand for: types (t), attributes (a), units (u).
SELECT 't' AS what, id, name FROM entity_type
UNION ALL SELECT 'a', id, name FROM attribute
UNION ALL SELECT 'u', id, name FROM unit
