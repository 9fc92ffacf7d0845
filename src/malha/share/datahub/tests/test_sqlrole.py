"""The wall of the SQL login, with the login itself: on the test's own server, where a superuser may make it."""

import psycopg
import pytest

from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.share.datahub import sqlrole
from malha.share.datahub.tests.town import air, write


@pytest.fixture
def admin():
    place = database.endpoint()
    with psycopg.connect(
        host=place.host, port=place.port, user="postgres", password=place.passwords["postgres"], dbname=place.database, autocommit=True
    ) as made:
        yield made


@pytest.fixture
def login(admin, town, new_tenant):
    """(a connection of the town's login, the town, another town)."""
    other = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [other.id]):
        air(conn, other.id, 9)
    write(other, ("urn:y:secret", "AirQualityObserved", {"stationName": {"type": "Property", "value": "SEGREDO"}}))
    lake.compact(town.id)
    role, password = sqlrole.make(admin, town.id, town.slug)
    sqlrole.refresh(town.id)
    sqlrole.refresh(other.id)
    place = database.endpoint()
    with psycopg.connect(host=place.host, port=place.port, user=role, password=password, dbname=place.database, autocommit=True) as made:
        yield made, town, other
    assert sqlrole.remove(admin, town.id, town.slug)
    assert admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None


def test_it_works(login):
    conn, _town, _other = login
    rows = conn.execute("SELECT id, properties ->> 'pm10', longitude FROM entity WHERE type = 'AirQualityObserved' ORDER BY id").fetchall()
    assert [row[1] for row in rows[:4]] == ["2.0", "3.0", "4.0", "5.0"]
    assert rows[0][2] == -8.6
    assert conn.execute("SELECT sum(sum), sum(count) FROM day WHERE attribute = 'pm10'").fetchone() == (30.0, 12)
    assert conn.execute("SHOW statement_timeout").fetchone() == ("1min",)


def test_a_setting_of_the_session_opens_nothing(login):
    conn, town, other = login
    for scope in (f"{{{other.id}}}", f"{{{town.id},{other.id}}}", ""):
        conn.execute("SELECT set_config('malha.tenants', %s, false)", [scope])
        assert conn.execute("SELECT count(*) FROM hub.entity").fetchone() == (5,)
        assert conn.execute("SELECT count(*) FROM hub.entity WHERE id = 'urn:y:secret'").fetchone() == (0,)
        assert conn.execute("SELECT count(DISTINCT entity) FROM hub.observation").fetchone()[0] <= 5
        assert conn.execute("SELECT count(DISTINCT entity) FROM hub.day").fetchone() == (4,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM public.entity", "SELECT * FROM public.entities", "SELECT * FROM public.observation_hot", "SELECT * FROM public.hub_login", "SELECT * FROM public.hub_key",
        "INSERT INTO public.hub_login VALUES (1, 'x')", "UPDATE public.hub_login SET tenant_id = 1", "DELETE FROM hub.entity", "CREATE TABLE hub.x (a int)", "CREATE TABLE public.x (a int)",
        "CREATE TEMP TABLE x (a int)", "SET ROLE malha_view", "SET SESSION AUTHORIZATION malha_app", "CREATE FUNCTION hub.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY hub.entity TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')", "SELECT * FROM public.person",
    ],
)  # fmt: skip
def test_nothing_else_can_be_done(login, statement):
    conn, _town, _other = login
    conn.execute("SET default_transaction_read_only = off")
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
        conn.execute(statement)


def test_no_function_of_theirs_sees_a_row_before_the_wall(login):
    """An error of a cast would quote another's value: the barrier keeps it from being asked of those rows."""
    conn, _town, _other = login
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT count(*) FROM hub.entity WHERE (properties ->> 'stationName')::int > 0")
    assert "SEGREDO" not in str(caught.value)
    plan = "\n".join(row[0] for row in conn.execute("EXPLAIN (COSTS off) SELECT id FROM hub.entity WHERE length(properties ->> 'stationName') > 0"))
    assert "Subquery Scan" in plan


def test_functions_with_their_owners_rights_are_not_for_everybody(admin):
    rows = admin.execute(
        """SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.prosecdef AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND has_function_privilege('public', p.oid, 'EXECUTE')"""
    ).fetchall()
    assert rows == []


def test_people_stay_out(login, town):
    conn, _town, _other = login
    write(town, ("urn:x:AirQualityObserved:00000", "AirQualityObserved", {"ownerName": {"type": "Property", "value": "Ana"}}))
    row = conn.execute("SELECT properties FROM hub.entity WHERE id = 'urn:x:AirQualityObserved:00000'").fetchone()
    assert "ownerName" not in row[0]  # not listed when the login was made: stays out until somebody looked at it


def test_the_embedded_server_says_why_not(town):
    with pytest.raises(sqlrole.NoSqlHere, match="embutida"):
        sqlrole.grant(town.id, town.slug)
