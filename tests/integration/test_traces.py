"""Traces of the real daemon, sent to a collector as an operator would name it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.integration import world
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

pytestmark = pytest.mark.slow


class Collector:
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        received = self.received = ExportTraceServiceRequest()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                received.MergeFromString(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    thread.join()


async def test_a_collector_gets_what_happened(tmp_path: Path, corp: Issuer, collector: Collector) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_RESOURCE_ATTRIBUTES": "where=here"}
    with world.daemon(tmp_path, corp, environment=environment) as daemon:
        client = await RawClient.open(daemon.url)
        await client.connect("/chat", corp.token("ann", scope=world.CHAT))
        assert not (await client.call("/chat", "join", "project:zeus"))["ok"]
        await client.close()
        parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        assert daemon.request("POST", "/admin/reload", **parent).json["ok"]
    (sent,) = {one.resource.SerializeToString() for one in collector.received.resource_spans}
    assert b"compartmentd" in sent
    assert b"here" in sent
    spans = [
        span
        for resource in collector.received.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {"connect", "decide", "reload", "POST /admin/reload"} <= {span.name for span in spans}
    traced = {span.name for span in spans if span.trace_id.hex() == TRACE}
    assert traced == {"reload", "POST /admin/reload"}
    assert b"zeus" not in collector.received.SerializeToString()
