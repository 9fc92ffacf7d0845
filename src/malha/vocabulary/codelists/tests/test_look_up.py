import pytest

from malha.vocabulary.codelists import service
from malha.vocabulary.codelists.contracts import UnknownCodeList


def test_it_works():
    regions = service.get("nuts2")
    assert len(regions.values) == 9
    assert regions.find("Grande Lisboa").en == "Greater Lisbon"
    assert regions.find("grande lisboa") is None


@pytest.mark.parametrize("name", service.names())
def test_each_list_is_complete(name):
    codes = service.get(name).codes
    assert codes
    assert len({code.value for code in codes}) == len(codes)
    assert all(code.pt and code.en for code in codes)


@pytest.mark.parametrize("name", ["nothing", "../nuts2", ""])
def test_an_unknown_list_is_said(name):
    with pytest.raises(UnknownCodeList):
        service.get(name)


@pytest.mark.parametrize(
    ("source", "value", "step"),
    [
        ("ipma", "yellow", "attention"),
        ("ipma", "Vermelho", "critical"),
        ("ipma-fire", 4, "warning"),
        ("cap", "extreme", "critical"),
        ("cap", "Unknown", "nodata"),
        ("anepc", "LARANJA", "warning"),
        ("emergency-incident", "Medio", "warning"),
        ("ipma", None, "nodata"),
        ("ipma", "violet", "nodata"),
    ],
)
def test_the_words_of_others_map_onto_our_five_steps(source, value, step):
    assert service.severity(source, value) == step


def test_every_step_of_the_table_is_one_of_ours():
    steps = set(service.get("severity").values)
    assert {step for table in service._severities().values() for step in table.values()} <= steps
    with pytest.raises(UnknownCodeList):
        service.severity("mars", "red")
