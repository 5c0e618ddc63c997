"""Every metric of the table has values; of many templates a scrape has the largest, and the sum of the others."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from compartmentd.http import metrics
from compartmentd.names import NamespaceName
from compartmentd.telemetry.metric_table import METRICS

COUNTS = st.dictionaries(
    st.sampled_from([NamespaceName("/a"), NamespaceName("/b")]),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COUNTS, st.integers(1, 6))
def test_the_largest_templates_are_told_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, counts: dict[NamespaceName, dict[str, int]], most: int
) -> None:
    monkeypatch.setattr(metrics, "MOST_TEMPLATES", most)
    told = dict(metrics._select_largest(counts))
    rest = told.pop(("", ""), 0)
    everything = Counter(
        {(name, template): n for name, of in counts.items() for template, n in of.items() if n}
    )
    assert told.items() <= everything.items()
    assert sorted(told.values()) == sorted(n for _, n in everything.most_common(most))
    assert rest == everything.total() - sum(told.values())


def test_every_metric_of_the_table_is_supplied_and_no_other() -> None:
    tree = ast.parse(Path(metrics.__file__).read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert METRICS.keys() - strings == set()
    supplied = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"_value", "_samples"}
        and isinstance(node.args[0], ast.Constant)
    }
    assert supplied - METRICS.keys() == set()
