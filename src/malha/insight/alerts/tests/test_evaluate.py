import pytest

from malha.foundation.database import service as database
from malha.insight.alerts import service
from malha.insight.alerts.contracts import Actor, AlarmConflict, AlarmNotFound, Operator, Rule, RuleKind, Severity, Status

URI = "urn:x:FloodMonitoring:ponte-velha"
ANA = Actor("Ana", 7)


@pytest.fixture
def river(conn, new_tenant):
    tenant = new_tenant()
    rule = Rule(
        0, tenant.id, "Ribeira", RuleKind.THRESHOLD, "FloodMonitoring", "currentLevel", Operator.ABOVE, 2.0, end_bound=1.8, for_seconds=300,
        severity=Severity.CRITICAL, unit="MTR", decimals=2, what_to_do="Fechar a rua da Ponte.", call_whom="Proteção Civil, 210 000 000",
    )  # fmt: skip
    with database.tenant_transaction(conn, [tenant.id]):
        service.save_rule(conn, rule)
    return tenant


def running(conn, tenant, **choice):
    with database.tenant_transaction(conn, [tenant.id]):
        return service.alarms(conn, tenant.id, **choice)


def test_it_works(conn, river, hear, at):
    hear(river, [(URI, at(2, 45), 1.9), (URI, at(2, 51), 2.1)])
    assert running(conn, river) == []
    (alarm_id,) = hear(river, [(URI, at(2, 57), 2.31)])
    (alarm,) = running(conn, river)
    assert alarm.id == alarm_id
    assert (alarm.thing, alarm.since, alarm.fired_at, alarm.value) == ("Ponte Velha", at(2, 51), at(2, 57), 2.31)
    assert (alarm.severity, alarm.status, alarm.what_to_do) == (Severity.CRITICAL, Status.OPEN, "Fechar a rua da Ponte.")
    assert alarm.longitude == pytest.approx(-9.1)
    assert hear(river, [(URI, at(3, 3), 2.5)]) == []  # once until it ends
    assert running(conn, river)[0].peak == 2.5
    assert hear(river, [(URI, at(3, 9), 1.9)]) == []  # between the bounds
    assert hear(river, [(URI, at(3, 15), 1.7)]) == [alarm_id]
    assert running(conn, river) == []
    (ended,) = running(conn, river, statuses=(Status.ENDED,))
    assert ended.ended_at == at(3, 15)


def test_durations_survive_and_batches_are_the_same_as_single_values(conn, river, hear, at):
    (alarm_id,) = hear(river, [(URI, at(2, 45 + i), value) for i, value in enumerate([1.9, 2.1, 2.2, 2.2, 2.3, 2.3, 2.4])])
    (alarm,) = running(conn, river)
    assert alarm.id == alarm_id
    assert alarm.since == at(2, 46)


def test_late_and_loaded_values_are_written_down_and_tell_nobody(conn, river, hear, at):
    assert hear(river, [(URI, at(2, 50), 2.5), (URI, at(2, 57), 2.6), (URI, at(3, 10), 1.0)], live=False) == []
    other = "urn:x:FloodMonitoring:moinho"
    assert hear(river, [(other, at(2, 50), 2.5), (other, at(2, 57), 2.6)], now=at(9)) == []
    assert running(conn, river) == []
    found = {one.uri: one for one in running(conn, river, statuses=(Status.WOULD_HAVE,))}
    assert found[URI].reason == "load"
    assert found[URI].ended_at == at(3, 10)
    assert found[other].reason == "late"
    assert found[other].ended_at is None


def test_values_out_of_order_do_not_ring(conn, river, hear, at):
    hear(river, [(URI, at(5), 1.0)])
    assert hear(river, [(URI, at(4, 50), 2.5), (URI, at(4, 57), 2.5)], now=at(5)) == []
    assert [one.status for one in running(conn, river, statuses=(Status.WOULD_HAVE, Status.OPEN))] == [Status.WOULD_HAVE]


def test_only_inside_the_drawn_area(conn, new_tenant, hear, at):
    tenant = new_tenant()
    area = {"type": "Polygon", "coordinates": [[[-9, 38], [-8, 38], [-8, 39], [-9, 39], [-9, 38]]]}
    with database.tenant_transaction(conn, [tenant.id]):
        service.save_rule(conn, Rule(0, tenant.id, "Zona", RuleKind.THRESHOLD, "FloodMonitoring", "currentLevel", bound=2.0, area=area, area_name="Baixa"))
    assert hear(tenant, [(URI, at(1), 3.0)], place=(-7.5, 38.5)) == []
    assert len(hear(tenant, [("urn:x:inside", at(1), 3.0)], place=(-8.5, 38.5))) == 1


def test_taken_noted_ended(conn, river, hear, at):
    hear(river, [(URI, at(2, 45), 2.5), (URI, at(2, 51), 2.5)])
    (alarm,) = running(conn, river)
    with database.tenant_transaction(conn, [river.id]):
        assert service.take(conn, river.id, alarm.id, actor=ANA).taken_by == "Ana"
        with pytest.raises(AlarmConflict):
            service.take(conn, river.id, alarm.id, actor=Actor("Rui", 8))
        service.note(conn, river.id, alarm.id, actor=ANA, text="Brigada a caminho.")
        assert service.end(conn, river.id, alarm.id, actor=ANA, text="Grades postas.").status is Status.ENDED
        story = [(entry.kind, entry.actor) for entry in service.story(conn, river.id, alarm.id)]
    assert [kind for kind, _ in story] == ["raised", "taken", "note", "ended"]
    assert story[1][1] == "Ana"
    assert hear(river, [(URI, at(3), 2.6)]) == []  # still high: it does not ring again
    hear(river, [(URI, at(3, 5), 1.0)])
    assert len(hear(river, [(URI, at(3, 10), 2.6), (URI, at(3, 16), 2.6)])) == 1


def test_silence(conn, new_tenant, hear, at):
    tenant = new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        service.save_rule(conn, Rule(0, tenant.id, "Calado", RuleKind.SILENCE, "FloodMonitoring", silence_seconds=1800, severity=Severity.NO_DATA))
    hear(tenant, [(URI, at(2), 1.0)])
    with database.tenant_transaction(conn, [tenant.id]):
        assert service.tick(conn, tenant.id, at(2, 20)) == []
        (alarm_id,) = service.tick(conn, tenant.id, at(2, 30))
        assert service.tick(conn, tenant.id, at(3)) == []
        assert service.get(conn, tenant.id, alarm_id).since == at(2)
    assert hear(tenant, [(URI, at(3, 5), 1.1)]) == [alarm_id]
    assert running(conn, tenant) == []


def test_what_was_only_loaded_is_not_missed(conn, new_tenant, hear, at):
    tenant = new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        service.save_rule(conn, Rule(0, tenant.id, "Calado", RuleKind.SILENCE, "FloodMonitoring", silence_seconds=1800, severity=Severity.NO_DATA))
    hear(tenant, [(URI, at(1), 1.0)], live=False)
    with database.tenant_transaction(conn, [tenant.id]):
        assert service.tick(conn, tenant.id, at(4)) == []
    hear(tenant, [(URI, at(4, 5), 1.2)])  # now it speaks by itself, and is missed when it stops
    with database.tenant_transaction(conn, [tenant.id]):
        assert len(service.tick(conn, tenant.id, at(5))) == 1


def test_another_tenant_sees_none_of_it(conn, river, new_tenant, hear, at):
    hear(river, [(URI, at(2, 45), 2.5), (URI, at(2, 51), 2.5)])
    (alarm,) = running(conn, river)
    other = new_tenant()
    with database.tenant_transaction(conn, [other.id]):
        assert service.alarms(conn, other.id) == []
        assert service.alarms(conn, river.id) == []
        with pytest.raises(AlarmNotFound):
            service.get(conn, river.id, alarm.id)
        assert service.list_rules(conn, river.id) == []
