-- What readers keep in memory of an attribute (words.py): a word that says as much of it as a question can ask, shortly.
-- '' is not there; '#' a number that a double says exactly; '"' a text, '>' the object of a relationship; '=' anything else, as JSON, with the members that
-- questions look at alone; '?' too long, or of several instances: the document has to be asked.
CREATE FUNCTION entity_looked_at(attribute jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(attribute) = 'object' THEN (
        SELECT jsonb_object_agg(key, value) FROM jsonb_each(attribute)
        WHERE key IN ('type', 'value', 'languageMap', 'json', 'valueList', 'object', 'objectList', 'vocab')
    ) ELSE attribute END
$$;
CREATE FUNCTION entity_short(sign text, word text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(word) <= 200 THEN sign || word ELSE '?' END
$$;
-- What it calls is immutable too, so that it becomes part of the query: called, it takes a hundred times as long.
CREATE FUNCTION entity_word(attribute jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN attribute IS NULL THEN ''
        WHEN jsonb_typeof(attribute) = 'array' THEN '?'
        WHEN attribute ?| '{languageMap,json,valueList,objectList,vocab}' THEN entity_short('=', entity_looked_at(attribute)::text)
        WHEN attribute ->> 'type' = 'Property' AND NOT attribute ? 'object' AND jsonb_typeof(attribute -> 'value') = 'number'
            THEN coalesce('#' || nullif(entity_figure(attribute), '-Infinity')::text, '?')
        WHEN attribute ->> 'type' = 'Property' AND NOT attribute ? 'object' AND jsonb_typeof(attribute -> 'value') = 'string' AND strpos(attribute ->> 'value', E'\n') = 0
            THEN entity_short('"', attribute ->> 'value')
        WHEN attribute ->> 'type' = 'Relationship' AND NOT attribute ? 'value' AND jsonb_typeof(attribute -> 'object') = 'string' AND strpos(attribute ->> 'object', E'\n') = 0
            THEN entity_short('>', attribute ->> 'object')
        ELSE entity_short('=', entity_looked_at(attribute)::text) END
$$;

-- An attribute of which questions hold as of those that a word was made of; null where the word does not tell.
CREATE FUNCTION entity_of_word(word text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE left(word, 1)
        WHEN '"' THEN jsonb_build_object('type', 'Property', 'value', substr(word, 2))
        WHEN '#' THEN jsonb_build_object('type', 'Property', 'value', substr(word, 2)::numeric)
        WHEN '>' THEN jsonb_build_object('type', 'Relationship', 'object', substr(word, 2))
        WHEN '=' THEN substr(word, 2)::jsonb END
$$;
