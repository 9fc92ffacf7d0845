"""What the form of a new door asks for, by kind."""

import pytest

from malha.ingest.devices.contracts import DoorKind
from malha.ingest.devices.forms import AddForm, DoorForm

MQTT = {"name": "Broker", "kind": DoorKind.MQTT.value, "host": "mqtt.exemplo.pt", "topic": "sensores/{device}/dados"}


def test_it_works():
    assert DoorForm(MQTT).is_valid()


@pytest.mark.parametrize("kind", [DoorKind.JSON, DoorKind.CHIRPSTACK, DoorKind.TTS])
def test_only_a_broker_needs_a_computer_and_a_topic(kind):
    assert DoorForm({"name": "Porta", "kind": kind.value}).is_valid()


@pytest.mark.parametrize(("field", "value"), [("host", ""), ("topic", ""), ("topic", "sensores/#"), ("topic", "+/dados"), ("topic", "$SYS/x")])
def test_what_a_broker_lacks_is_said_beside_its_field(field, value):
    form = DoorForm(MQTT | {field: value})
    assert not form.is_valid()
    assert list(form.errors) == [field]


def test_a_list_of_sensors_is_read_line_by_line():
    form = AddForm({"lines": "s1;Praça\n\ns2\tRua da Cima\n s3 "})
    assert form.is_valid()
    assert form.cleaned_data["lines"] == [("s1", "Praça"), ("s2", "Rua da Cima"), ("s3", "")]


@pytest.mark.parametrize(
    ("lines", "said"),
    [("s1\n;Praça", "Linha 2: falta"), ("é" * 300, "Linha 1: o identificador tem mais"), ("\n".join(map(str, range(10_001))), "vieram 10001")],
)
def test_a_line_that_cannot_be_kept_is_named_and_not_cut(lines, said):
    form = AddForm({"lines": lines})
    assert not form.is_valid()
    assert said in str(form.errors["lines"])
