import pytest
from django.db import connection

from malha.foundation.database import django as database
from malha.foundation.database.contracts import NoScope


def test_it_works(new_tenant):
    tenant = new_tenant()
    with database.scope(tenant.id):
        conn = database.current()
        assert conn.execute("SELECT current_setting('malha.tenants')").fetchone() == (f"{{{tenant.id}}}",)
        assert conn.execute("SELECT '{\"a\": 1}'::jsonb").fetchone() == ({"a": 1},)
        assert database.current() is conn


def test_it_is_djangos_own_transaction(new_tenant):
    tenant = new_tenant()
    with pytest.raises(ValueError, match="undo"), database.scope(tenant.id):  # noqa: PT012 -- the point is what the error undoes
        database.current().execute("UPDATE organisation SET name = 'Outra' WHERE id = %s", [tenant.id])
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM organisation WHERE id = %s", [tenant.id])
            assert cursor.fetchone() == ("Outra",)
        raise ValueError("undo")
    with database.scope(tenant.id):
        assert database.current().execute("SELECT name FROM organisation WHERE id = %s", [tenant.id]).fetchone() == (tenant.name,)


def test_a_savepoint_keeps_the_rest(new_tenant):
    tenant = new_tenant()
    with database.scope(tenant.id):
        conn = database.current()
        with pytest.raises(Exception, match="division"), conn.transaction():
            conn.execute("SELECT 1/0")
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_without_a_scope_it_refuses():
    with pytest.raises(NoScope):
        database.current()


def test_a_nested_scope_gives_the_outer_one_back(new_tenant):
    outer, inner = new_tenant(), new_tenant()
    with database.scope(outer.id):
        with database.scope(inner.id):
            assert database.current().execute("SELECT current_setting('malha.tenants')").fetchone() == (f"{{{inner.id}}}",)
        assert database.current().execute("SELECT current_setting('malha.tenants')").fetchone() == (f"{{{outer.id}}}",)
