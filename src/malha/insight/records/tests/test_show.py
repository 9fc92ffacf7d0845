from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from malha.context.store.contracts import StoredEntity
from malha.insight.records import rules
from malha.vocabulary.models import service as models

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LISBON = ZoneInfo("Europe/Lisbon")


def entity(type_, **attributes):
    return StoredEntity(1, 1, f"urn:x:{type_}:a-1", (type_,), attributes, None, AT, AT)


def line(found, name, language="pt"):
    return rules.line(found, name, models.find(found.types[0]), LISBON, language)


def test_it_works():
    found = entity("AirQualityObserved", pm10={"type": "Property", "value": 23.5, "unitCode": "GQ", "observedAt": "2026-03-01T12:00:00Z"})
    shown = line(found, "pm10")
    assert (shown.label, shown.text, shown.measure) == ("Partículas PM10", "23,5\xa0µg/m³", True)
    assert shown.observed_at == AT
    assert line(found, "pm10", "en").label == "Particles PM10"


def test_values_in_words():
    found = entity(
        "Incident",
        status={"type": "Property", "value": "in progress"},
        startDate={"type": "Property", "value": {"@type": "DateTime", "@value": "2026-07-01T09:00:00Z"}},
        images={"type": "Property", "value": ["a", "b"]},
        nada={"type": "Property", "value": None},
    )
    assert line(found, "status").text == "Em curso"
    assert line(found, "startDate").text == "1 jul. 2026, 10:00"
    assert line(found, "images").text == "a, b"
    assert line(found, "nada").text == "—"


def test_names():
    assert rules.name_of(entity("Incident")) == "a-1"
    assert rules.name_of(entity("Incident", name={"type": "LanguageProperty", "languageMap": {"pt": "x"}})) == "a-1"
    assert rules.name_of(entity("Incident", name={"type": "Property", "value": {"pt": "Buraco", "en": "Hole"}})) == "Buraco"


def test_columns_leave_out_what_is_about_people():
    found = entity("Incident", status={"value": "closed"}, reportedById={"object": "urn:p:1"}, location={"value": {}})
    assert rules.columns(models.find("Incident"), [found], personal=False) == ["status"]
    assert "reportedById" in rules.columns(models.find("Incident"), [found], personal=True)
