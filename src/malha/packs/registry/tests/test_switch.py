import pytest

from malha.foundation.database import service as database
from malha.insight.alerts import service as alerts
from malha.insight.maps import service as maps
from malha.insight.metrics import service as metrics
from malha.packs.registry import declaration, service
from malha.packs.registry.contracts import UnknownPack, UnusablePack
from malha.vocabulary.models import service as models


@pytest.fixture
def conn():
    with database.connect() as connection:
        yield connection


def test_it_works(conn, new_tenant):
    tenant, other = new_tenant(), new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        assert service.switch_on(conn, tenant.id, "civil_protection")
        assert not service.switch_on(conn, tenant.id, "civil_protection")
        assert set(service.active(conn, tenant.id)) == {"civil_protection"}
        assert "nivel-maximo" in {one.key for one in metrics.all_metrics(conn, tenant.id)}
        assert "ribeiras" in {layer.key for layer, _ in maps.layers(conn, tenant.id)}
        rules = {rule.key: rule for rule in alerts.list_rules(conn, tenant.id)}
        assert (rules["ribeira-perigo"].bound, rules["ribeira-perigo"].end_bound) == (2.0, 1.8)
    with database.tenant_transaction(conn, [other.id]):
        assert service.active(conn, other.id) == {}
        assert metrics.all_metrics(conn, other.id) == []
    with database.tenant_transaction(conn, [tenant.id]):
        assert service.switch_off(conn, tenant.id, "civil_protection")
        assert not service.switch_off(conn, tenant.id, "civil_protection")
        assert metrics.all_metrics(conn, tenant.id) == []
        assert alerts.list_rules(conn, tenant.id) == []


def test_every_name_in_a_pack_is_of_a_data_model():
    assert {pack.name for pack in service.all_packs()} >= {"air_noise", "waste", "civil_protection"}
    for pack in service.all_packs():
        used = [(one.type, one.attribute) for one in pack.metrics]
        used += [(one.type, name) for one in pack.layers for name in [one.attribute, *one.popup]]
        used += [(one.type, one.attribute) for one in pack.rules]
        for entity_type, attribute in used:
            assert entity_type in pack.types
            model = models.get(entity_type)
            assert not attribute or model.find(attribute), f"{pack.name}: {entity_type}.{attribute}"
        for one in (*pack.metrics, *pack.layers):
            assert one.label.pt
            assert one.label.en


def test_categories_are_those_of_the_model():
    for pack in service.all_packs():
        for layer in pack.layers:
            values = {stop.value for stop in layer.stops if stop.value}
            if values:
                assert values <= set(models.get(layer.type).find(layer.attribute).choices), layer.key


def test_what_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UnknownPack):
        declaration.pack("nada")
    file = tmp_path / "broken" / "pack.toml"
    file.parent.mkdir()
    for text in (
        "[pack",
        "[pack]\nversion = 1\n",
        '[pack]\nversion = 1\nlabel = "x"\ndescription = "x"\ntypes = []\n[[rule]]\nkey = "a"\nname = "a"\nkind = "threshold"\ntype = "T"\nseverity = "warning"\n',
    ):
        file.write_text(text)
        with pytest.raises(UnusablePack):
            declaration.read(file)
