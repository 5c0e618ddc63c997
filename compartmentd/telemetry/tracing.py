"""Traces for OpenTelemetry: a span for each connect, decision, reload and request of an administrator.

An extra (`pip install compartmentd[otel]`), enabled by OpenTelemetry's own environment variables, such as
`OTEL_EXPORTER_OTLP_ENDPOINT`. A decision becomes a span after it has been made, from the same record as its log
line, so that nothing waits for a span.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from compartmentd import __version__
from compartmentd.sessions.audit import Record
from compartmentd.telemetry.logs import log

SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""Environment variables; if any of them is set, tracing is enabled."""


class Tracing(Protocol):
    """An exporter of spans."""

    @property
    def on(self) -> bool:
        """Whether spans are exported."""

    def write(self, record: Record) -> None:
        """Export the span of a decision that has been made."""

    def begin_request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Begin the span of an administrator's request, within the trace of its `traceparent` header.

        Spans that the same task begins from now on are its children.

        Returns:
            The span, for `end_request`.
        """

    def end_request(self, span: Any, status: int) -> None:
        """End the span of a request."""

    def trace_reload(self, cause: str) -> Any:
        """Return a context manager for the span of a reload; it gives a function that adds attributes."""

    def close(self) -> None:
        """Export the remaining spans."""


class NoTracing:
    """The null object used if no exporter is configured: every method does nothing."""

    on = False

    def write(self, record: Record) -> None:
        """Do nothing."""

    def begin_request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Do nothing."""

    def end_request(self, span: Any, status: int) -> None:
        """Do nothing."""

    @contextmanager
    def trace_reload(self, cause: str) -> Iterator[Any]:
        """Do nothing around the reload."""
        del cause
        yield lambda **_: None

    def close(self) -> None:
        """Do nothing."""


class OpenTelemetry:
    """Exports spans by a tracer provider of OpenTelemetry's SDK."""

    on = True

    def __init__(self, provider: Any) -> None:
        # Imported here, since it is installed only for tracing.
        from opentelemetry import context, trace  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - an extra

        self._provider = provider
        self._tracer = provider.get_tracer("compartmentd", __version__)
        self._context = context
        self._trace = trace
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def write(self, record: Record) -> None:
        """Export a span at the time of the decision; a decision that was not timed has no duration."""
        end = int(record.at * 1e9)
        span = self._tracer.start_span(
            "connect" if record.occasion == "connect" else "decide",
            start_time=end - int((record.took or 0.0) * 1e9),
            attributes=build_attributes(record),
        )
        span.end(end)

    def begin_request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Begin the span of a request; `path` is one of our own resources, not a client's text."""
        parent = self._propagator.extract({name.lower(): value for name, value in headers.items()})
        span = self._tracer.start_span(
            f"{method} {path}",
            context=parent,
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path},
        )
        # Never detached: the context belongs to the request's own task.
        self._context.attach(self._trace.set_span_in_context(span))
        return span

    def end_request(self, span: Any, status: int) -> None:
        """End the span of a request."""
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    @contextmanager
    def trace_reload(self, cause: str) -> Iterator[Any]:
        """Put a span around a reload, as a child of the request that caused it."""
        with self._tracer.start_as_current_span("reload", attributes={"compartmentd.cause": cause}) as span:
            yield lambda **fields: span.set_attributes(
                {f"compartmentd.{name}": value for name, value in fields.items()}
            )

    def close(self) -> None:
        """Export the remaining spans, within the exporter's configured timeout."""
        self._provider.shutdown()


def build_attributes(record: Record) -> dict[str, str | int | bool]:
    """Return the attributes of a decision's span; users and rooms are only in the log."""
    found: dict[str, str | int | bool] = {
        "compartmentd.request": record.occasion,
        "compartmentd.namespace": record.namespace,
        "compartmentd.allowed": record.code is None,
        "compartmentd.generation": record.generation,
        "compartmentd.digest": record.digest,
    }
    if record.code is not None:
        found["compartmentd.code"] = record.code.value
    if record.session is not None:
        found["compartmentd.session"] = record.session
    if record.ref:
        found["compartmentd.ref"] = record.ref
    return found


def create_tracing(environ: Mapping[str, str]) -> Tracing:
    """Return the exporter that the environment configures.

    If the extra is missing, log a warning and export nothing.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(environ.get, SWITCHES)):
        return NoTracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an extra
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError:
        message = (
            "traces are configured, but the extra `otel` is not installed: pip install compartmentd[otel]"
        )
        log(logging.WARNING, "tracing_unavailable", message)
        return NoTracing()
    own = {"service.name": "compartmentd", "service.version": __version__}
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
    provider = TracerProvider(resource=Resource.create(own).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)
