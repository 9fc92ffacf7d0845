"""Where a request came from and goes to: W3C Trace Context, passed on always; spans with the extra `otel` and an address to send them to."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Any

from malha.foundation.settings import service as settings
from malha.kernel.errors import Misconfigured
from malha.kernel.text import msg

_PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE_LENGTH = 512
#: what came with the running request, as it is passed on where no span is made
_came: ContextVar[Mapping[str, str]] = ContextVar("trace", default=MappingProxyType({}))


@cache
def tracer() -> Any:
    """OpenTelemetry's tracer, None where spans are off. Raises Misconfigured where they are wanted and the extra is not installed."""
    endpoint = settings.current().otel_endpoint
    if not endpoint:
        return None
    try:
        sdk, export, resources = (
            importlib.import_module(f"opentelemetry.{name}") for name in ("sdk.trace", "exporter.otlp.proto.http.trace_exporter", "sdk.resources")
        )
        batch = importlib.import_module("opentelemetry.sdk.trace.export")
    except ImportError as reason:
        raise Misconfigured(msg("MALHA_OTEL_ENDPOINT pede o extra “otel”: instale malha[otel].")) from reason
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": "malha", "service.version": version("malha")}))
    provider.add_span_processor(batch.BatchSpanProcessor(export.OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")))
    return provider.get_tracer("malha")


@contextmanager
def span(
    name: str, kind: str = "INTERNAL", headers: Mapping[str, str] | None = None, attributes: Mapping[str, str | int] | None = None
) -> Iterator[dict[str, Any]]:
    """A span around the block, a child of what `headers` say or of the running one; what is put into the dict becomes attributes."""
    told: dict[str, Any] = {}
    came = None
    if headers is not None and _PARENT.fullmatch(headers.get("traceparent", "")):
        came = _came.set({key: headers[key][:_STATE_LENGTH] for key in ("traceparent", "tracestate") if key in headers})
    try:
        if (made := tracer()) is None:
            yield told
            return
        api, propagate = importlib.import_module("opentelemetry.trace"), importlib.import_module("opentelemetry.propagate")
        parent = propagate.extract(dict(headers)) if headers is not None else None
        with made.start_as_current_span(name, context=parent, kind=api.SpanKind[kind], attributes=dict(attributes or {})) as running:
            yield told
            for key, value in told.items():
                running.set_attribute(key, value)
    finally:
        if came is not None:
            _came.reset(came)


def outgoing() -> dict[str, str]:
    """The headers that tell the next one where a request belongs; none where that is not known."""
    if tracer() is None:
        return dict(_came.get())
    found: dict[str, str] = {}
    importlib.import_module("opentelemetry.propagate").inject(found)
    return found
