"""Traces for OpenTelemetry: a span for each connect, decision, reload and request of an administrator.

An extra (`pip install compartmentd[otel]`), switched on by the environment that OpenTelemetry itself defines:
`OTEL_EXPORTER_OTLP_ENDPOINT` and its like say where spans go. Decisions become spans when they have been made, from
the same records as the log, so that nothing waits for a span.
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
"""Variables of which any one that is set switches tracing on."""


class Tracing(Protocol):
    """Where spans go."""

    @property
    def on(self) -> bool:
        """Whether there is anywhere for them to go."""

    def decided(self, record: Record) -> None:
        """Tell of a decision, after it was made."""

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Begin the span of an administrator's request, within the trace that its `traceparent` names.

        What is done in the same task from here on is part of it. Returns what `answered` takes.
        """

    def answered(self, span: Any, status: int) -> None:
        """End the span of a request."""

    def reload(self, cause: str) -> Any:
        """Return a context manager: the span of a reload, which gives what to call with its attributes."""

    def close(self) -> None:
        """Send what is left."""


class NoTracing:
    """Nowhere."""

    on = False

    def decided(self, record: Record) -> None:
        """Tell nobody."""

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Begin nothing."""

    def answered(self, span: Any, status: int) -> None:
        """End nothing."""

    @contextmanager
    def reload(self, cause: str) -> Iterator[Any]:
        """Do nothing around the reload."""
        del cause
        yield lambda **_: None

    def close(self) -> None:
        """Have nothing left."""


class OpenTelemetry:
    """Spans by a tracer provider of OpenTelemetry's SDK."""

    on = True

    def __init__(self, provider: Any) -> None:
        # Imported here: whoever does not trace has not installed it.
        from opentelemetry import context, trace  # noqa: PLC0415 - an extra
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - an extra

        self._provider = provider
        self._tracer = provider.get_tracer("compartmentd", __version__)
        self._context = context
        self._trace = trace
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def decided(self, record: Record) -> None:
        """Make a span that lies where the decision was made; one that was not timed has no length."""
        end = int(record.at * 1e9)
        span = self._tracer.start_span(
            "connect" if record.occasion == "connect" else "decide",
            start_time=end - int((record.took or 0.0) * 1e9),
            attributes=build_attributes(record),
        )
        span.end(end)

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> Any:
        """Begin the span of a request; its path is one of ours, and not what a client made up."""
        parent = self._propagator.extract({name.lower(): value for name, value in headers.items()})
        span = self._tracer.start_span(
            f"{method} {path}",
            context=parent,
            kind=self._trace.SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path},
        )
        # Never taken back: the context is that of the request's own task.
        self._context.attach(self._trace.set_span_in_context(span))
        return span

    def answered(self, span: Any, status: int) -> None:
        """End the span of a request."""
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    @contextmanager
    def reload(self, cause: str) -> Iterator[Any]:
        """Put a span around a reload, within the request that asked for it."""
        with self._tracer.start_as_current_span("reload", attributes={"compartmentd.cause": cause}) as span:
            yield lambda **fields: span.set_attributes(
                {f"compartmentd.{name}": value for name, value in fields.items()}
            )

    def close(self) -> None:
        """Send what is left, within the time that the exporter is given by its environment."""
        self._provider.shutdown()


def build_attributes(record: Record) -> dict[str, str | int | bool]:
    """Return what a span tells of a decision: neither user nor room, which are for the log."""
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
    """Return where the environment says that spans go; a missing extra is a warning and no reason not to start."""
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
    # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say counts for more.
    provider = TracerProvider(resource=Resource.create(own).merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)
