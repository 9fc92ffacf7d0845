"""Where a request belongs goes on with it; spans are made by OpenTelemetry's own SDK, with a collector in memory."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from malha.foundation.settings import service as settings
from malha.foundation.settings.contracts import Settings
from malha.foundation.telemetry import traces

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_what_came_is_passed_on_as_it_came():
    with traces.span("request", "SERVER", {"traceparent": PARENT, "tracestate": "a=1", "authorization": "Bearer x"}):
        assert traces.outgoing() == {"traceparent": PARENT, "tracestate": "a=1"}
    assert traces.outgoing() == {}


@pytest.mark.parametrize("bad", ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", PARENT + "\r\nx: y", PARENT[:-1]])
def test_what_is_no_parent_is_not_passed_on(bad):
    with traces.span("request", "SERVER", {"traceparent": bad}):
        assert traces.outgoing() == {}


def test_spans_are_children_of_what_came(monkeypatch):
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(traces, "tracer", lambda: provider.get_tracer("test"))
    with traces.span("request", "SERVER", {"traceparent": PARENT}) as told:
        told["http.response.status_code"] = 200
        with traces.span("other source", "CLIENT"):
            sent = traces.outgoing()["traceparent"]
    inner, outer = kept.get_finished_spans()
    assert (outer.name, outer.attributes["http.response.status_code"]) == ("request", 200)
    assert f"{outer.context.trace_id:032x}" == f"{inner.context.trace_id:032x}" == PARENT.split("-")[1] == sent.split("-")[1]
    assert f"{outer.parent.span_id:016x}" == PARENT.split("-")[2]
    assert sent.split("-")[2] == f"{inner.context.span_id:016x}"


def test_an_address_makes_a_tracer(monkeypatch):
    monkeypatch.setattr(settings, "current", lambda: Settings(otel_endpoint="http://127.0.0.1:9"))
    traces.tracer.cache_clear()
    try:
        assert traces.tracer() is not None
    finally:
        traces.tracer.cache_clear()
