"""What the form of a new door asks for, by kind."""

import pytest

from malha.ingest.devices.contracts import DoorKind
from malha.ingest.devices.forms import DoorForm

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
