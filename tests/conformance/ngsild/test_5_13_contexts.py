"""GS CIM 009 §5.13: the core context is part of this broker."""

CORE = "https%3A%2F%2Furi.etsi.org%2Fngsi-ld%2Fv1%2Fngsi-ld-core-context-v1.8.jsonld"


def test_the_core_context_is_known_and_stays(broker):
    told = broker.get(f"jsonldContexts/{CORE}", params={"details": "true"})
    assert (told.status_code, told.json()["kind"], told.json()["URL"][-10:]) == (200, "Cached", "1.8.jsonld")
    assert broker.get(f"jsonldContexts/{CORE}").status_code == 422
    assert broker.delete(f"jsonldContexts/{CORE}").status_code == 400
    assert broker.delete(f"jsonldContexts/{CORE}", params={"reload": "true"}).status_code == 204
    assert broker.get(f"jsonldContexts/{CORE}", params={"details": "true"}).status_code == 200
