"""The condition of every wall between tenants: the scope is read once a statement, in walls of before too."""

from importlib.resources import files

from malha.foundation.database import service
from malha.foundation.database.contracts import Role

SQL = files("malha.foundation.tenancy").joinpath("sql/migrations/0002_scope_read_once.sql").read_text(encoding="utf-8")
BY_ROW = """
    SELECT policyname FROM pg_policies WHERE qual LIKE '%%malha.tenants%%' AND qual NOT LIKE '%%)::bigint[] AS "nullif")%%'
    UNION ALL SELECT viewname FROM pg_views WHERE definition LIKE '%%malha.tenants%%' AND definition NOT LIKE '%%)::bigint[] AS "nullif")%%'
"""


def test_it_works():
    with service.connect(Role.OWNER) as owner:
        assert owner.execute(BY_ROW).fetchall() == []


def test_walls_of_before_are_built_anew():
    old = "tenant_id = ANY ((SELECT nullif(current_setting('malha.tenants', true), ''))::bigint[])"
    with service.connect(Role.OWNER) as owner:
        owner.execute("CREATE TABLE walled_before (tenant_id bigint)")
        owner.execute("ALTER TABLE walled_before ENABLE ROW LEVEL SECURITY")
        owner.execute(f"CREATE POLICY walled_before_tenant ON walled_before TO malha_app USING ({old}) WITH CHECK ({old})")
        owner.execute(f"CREATE VIEW walled_before_seen AS SELECT * FROM walled_before WHERE {old} WITH CHECK OPTION")
        owner.execute("GRANT CREATE ON SCHEMA public TO malha_view")
        owner.execute("ALTER VIEW walled_before_seen OWNER TO malha_view")
        assert {row[0] for row in owner.execute(BY_ROW)} == {"walled_before_tenant", "walled_before_seen"}
        owner.execute(SQL)
        assert owner.execute(BY_ROW).fetchall() == []
        policy = owner.execute("SELECT qual = with_check FROM pg_policies WHERE policyname = 'walled_before_tenant'").fetchone()
        checked = owner.execute("SELECT check_option FROM information_schema.views WHERE table_name = 'walled_before_seen'").fetchone()
        assert (policy, checked) == ((True,), ("CASCADED",))
        owner.rollback()
