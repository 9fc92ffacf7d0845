from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from malha.foundation.access.contracts import Grain
from malha.foundation.agreements import service
from malha.foundation.agreements.contracts import NoAgreement, Terms, UnusableTerms
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind
from malha.kernel.time import now


def terms(**changes):
    return Terms(**{"types": ("AirQualityObserved",), "purpose": "Plano regional do ar", "until": now() + timedelta(days=90), "grain": Grain.DAY} | changes)


def sign(giver, reader, **changes):
    with tenancy.scope(giver.id):
        return service.sign(database.current(), giver.id, reader.id, terms(**changes), by="person:1")


def read(giver, reader, agreement):
    with tenancy.scope(giver.id):
        return service.open_reading(database.current(), agreement, grantee_id=reader.id, tenant_id=giver.id, reader="person:9", what="AirQualityObserved")


def test_it_works(new_tenant):
    giver, reader = new_tenant(name="Vila"), new_tenant(name="CIM")
    agreement = sign(giver, reader, attributes=("pm10",))
    with tenancy.scope(reader.id):
        mine = service.granted(database.current(), reader.id, type="AirQualityObserved")
        assert [(one.id, one.tenant_name, one.attributes, one.grain) for one in mine] == [(agreement, "Vila", ("pm10",), Grain.DAY)]
        assert service.granted(database.current(), reader.id, type="NoiseLevelObserved") == []
    assert read(giver, reader, agreement).types == ("AirQualityObserved",)
    with tenancy.scope(giver.id):
        assert [(one.reader, one.what) for one in service.readings(database.current(), giver.id, agreement)] == [("person:9", "AirQualityObserved")]
        assert [(one.grantee_name, one.readings) for one in service.given(database.current(), giver.id)] == [("CIM", 1)]
        assert [entry.action for entry in audit.entries(database.current(), giver.id)] == ["agreements.sign"]


def test_it_ends_at_once(new_tenant):
    giver, reader = new_tenant(), new_tenant()
    agreement = sign(giver, reader)
    read(giver, reader, agreement)
    with tenancy.scope(giver.id):
        assert service.end(database.current(), giver.id, agreement, by="person:1")
        assert not service.end(database.current(), giver.id, agreement, by="person:1")
    with pytest.raises(NoAgreement):
        read(giver, reader, agreement)
    with tenancy.scope(reader.id):
        assert service.granted(database.current(), reader.id) == []


def test_it_ends_on_its_day(new_tenant):
    giver, reader = new_tenant(), new_tenant()
    agreement = sign(giver, reader, until=now() + timedelta(milliseconds=50))
    import time

    time.sleep(0.1)
    with pytest.raises(NoAgreement):
        read(giver, reader, agreement)


def test_a_third_party_neither_sees_nor_uses_it(new_tenant):
    giver, reader, third = new_tenant(), new_tenant(), new_tenant()
    agreement = sign(giver, reader)
    read(giver, reader, agreement)
    with pytest.raises(NoAgreement):
        read(giver, third, agreement)
    with tenancy.scope(third.id):
        assert service.given(database.current(), giver.id) == []
        assert service.granted(database.current(), reader.id) == []
        assert service.readings(database.current(), giver.id, agreement) == []


def test_the_reader_cannot_change_or_prolong_it(new_tenant):
    giver, reader = new_tenant(), new_tenant()
    agreement = sign(giver, reader)
    with tenancy.scope(reader.id):
        conn = database.current()
        assert not service.end(conn, giver.id, agreement, by="person:9")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            service.sign(conn, giver.id, reader.id, terms(), by="person:9")
    with tenancy.scope(giver.id):
        conn = database.current()
        with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute("UPDATE agreement SET valid_until = now() + interval '9 years' WHERE id = %s", [agreement])


def test_standing_above_gives_nothing(new_tenant):
    nation = new_tenant(name="Nação", kind=OrganisationKind.NATION)
    town = tenancy.create_municipality("0105", slug=f"aveiro-{uuid4().hex[:6]}", parent_id=nation.id)
    with tenancy.scope(nation.id):
        assert service.granted(database.current(), nation.id) == []
    with pytest.raises(NoAgreement):
        read(town, nation, 1)


@pytest.mark.parametrize("changes", [{"types": ()}, {"purpose": "  "}, {"until": now() - timedelta(days=1)}])
def test_terms_that_nobody_could_hold_are_refused(new_tenant, changes):
    with pytest.raises(UnusableTerms):
        sign(new_tenant(), new_tenant(), **changes)
