"""Spans for OpenTelemetry, as its own SDK takes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from compartmentd.sessions.environment import Environment
from compartmentd.sessions.hub import Hub
from compartmentd.telemetry.decision_feed import DecisionFeed
from compartmentd.telemetry.decision_log import DecisionLog
from compartmentd.telemetry.tracing import NoTracing, OpenTelemetry, create_tracing
from tests.support.administration import GOOD, FakeAdministration, FakeMetrics, ask
from tests.support.world import World

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
POLICY = """version: 1
log: {decisions: none}
issuers:
  corp: {issuer: https://id.example.com, audience: realtime, secret_file: corp.secret, algorithms: [HS256]}
namespaces:
  /chat: {connect: authenticated, rooms: {lobby: {join: {scope: chat}}}}
"""


class Traced:
    """Tracing into memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = OpenTelemetry(provider)

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}


@pytest.fixture
def traced() -> Traced:
    return Traced()


def own(span: ReadableSpan) -> dict[str, Any]:
    return {name.removeprefix("compartmentd."): value for name, value in (span.attributes or {}).items()}


def test_decisions_are_spans_that_name_neither_user_nor_room(traced: Traced, tmp_path: Path) -> None:
    world = World(tmp_path, POLICY)
    decisions = DecisionLog(DecisionFeed(), tracing=traced.tracing)
    decisions.settings = world.hub.snapshot.configuration.log
    world.hub = Hub(
        world.hub.snapshot,
        Environment(
            clock=world.clock,
            new_sid=lambda: "sid",
            report_error=world.failures.append,
            audit_log=decisions,
        ),
    )
    assert world.connect("/chat", "ann-the-user").code("join", "lobby") == "scope_missing"
    connect, join = traced.spans["connect"], traced.spans["decide"]
    assert own(connect) == {
        "request": "connect",
        "namespace": "/chat",
        "allowed": True,
        "generation": 1,
        "digest": world.hub.snapshot.digest,
        "session": "sid",
    }
    assert own(join) == own(connect) | {"request": "join", "allowed": False, "code": "scope_missing"}
    assert "ann-the-user" not in connect.to_json()
    assert "lobby" not in join.to_json()
    assert connect.end_time == int(world.clock.now * 1e9)


async def test_a_reload_belongs_to_the_trace_of_the_request_that_asked_for_it(traced: Traced) -> None:
    from tornado.netutil import bind_sockets

    from compartmentd.http.admin import AdminServer

    class Administration(FakeAdministration):
        async def reload(self) -> Any:
            with traced.tracing.trace_reload("request") as tell:
                tell(ok=True, generation=2)
                return await super().reload()

    server = AdminServer(Administration(), FakeMetrics(), tracing=traced.tracing)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    headers = {"Authorization": f"Bearer {GOOD}", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    port = sockets[0].getsockname()[1]
    assert (await ask(port, "POST", "/admin/reload", headers=headers)).status == 200
    assert (await ask(port, "GET", "/admin/status", headers={"traceparent": "nonsense"})).status == 401
    assert (await ask(port, "GET", "/metrics")).status == 200
    await server.close()
    assert set(traced.spans) == {"reload", "POST /admin/reload", "GET /admin/status"}
    reload, request = traced.spans["reload"], traced.spans["POST /admin/reload"]
    assert reload.parent is not None
    assert request.parent is not None
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert (reload.context.trace_id, reload.parent.span_id) == (
        request.context.trace_id,
        request.context.span_id,
    )
    assert own(reload) == {"cause": "request", "ok": True, "generation": 2}
    assert own(request)["http.response.status_code"] == 200
    status = traced.spans["GET /admin/status"]
    assert status.parent is None
    assert own(status)["http.response.status_code"] == 401


@pytest.mark.parametrize(
    "environ", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}]
)
def test_nobody_is_traced_who_did_not_ask_for_it(environ: dict[str, str]) -> None:
    assert create_tracing(environ).on is False


def test_a_missing_extra_is_told_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing = create_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert isinstance(tracing, NoTracing)
    assert "compartmentd[otel]" in caplog.text
