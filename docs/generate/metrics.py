"""The page of the metrics, from their table."""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.telemetry.metric_table import METRICS, full_name
from docs.generate.markdown import code, codes, join_page, table


def page() -> str:
    """Return the page of the metrics."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "`/metrics` of an admin listener, in the text format of Prometheus. Labels hold what the"
    yield "configuration declares (namespaces, templates, entries) and fixed words, never a room, a user or"
    yield "an address: the number of series depends on the file alone. `(undeclared)` stands for all"
    yield "namespaces that are not declared."
    yield ""
    yield from table(
        ["metric", "kind", "labels", "what it tells"],
        [
            [f"{code(full_name(name))}{{ #{name} }}", metric.kind, codes(metric.labels), metric.text]
            for name, metric in METRICS.items()
        ],
    )
    yield ""
    yield "Beside these are the `process_*` metrics of the Prometheus client: CPU, memory, descriptors and"
    yield "the start time."
