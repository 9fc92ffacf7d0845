-- The tenants in scope are made an array inside the sub-select, once a statement: outside of it that was done for every row that is looked at.
-- Walls and views of installations that were there before; new ones are built so.
DO $$
DECLARE
    before CONSTANT text := 'SELECT NULLIF(current_setting(''malha.tenants''::text, true), ''''::text) AS "nullif"';
    after CONSTANT text := 'SELECT (NULLIF(current_setting(''malha.tenants''::text, true), ''''::text))::bigint[] AS "nullif"';
    one record;
BEGIN
    FOR one IN SELECT * FROM pg_policies WHERE schemaname = 'public' AND (strpos(qual, before) > 0 OR strpos(with_check, before) > 0) LOOP
        EXECUTE format('ALTER POLICY %I ON %I', one.policyname, one.tablename)
            || coalesce(' USING (' || replace(one.qual, before, after) || ')', '') || coalesce(' WITH CHECK (' || replace(one.with_check, before, after) || ')', '');
    END LOOP;
    FOR one IN SELECT * FROM pg_views WHERE schemaname = 'public' AND viewowner = 'malha_view' AND strpos(definition, before) > 0 LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %I AS %s WITH CHECK OPTION', one.viewname, replace(rtrim(one.definition, ';'), before, after));
    END LOOP;
END
$$;
