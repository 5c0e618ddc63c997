"""Of many templates a scrape tells the largest, and the sum of the others."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from compartmentd.http import metrics
from compartmentd.names import NamespaceName

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
    told = dict(metrics._largest(counts))
    rest = told.pop(("", ""), 0)
    everything = Counter(
        {(name, template): n for name, of in counts.items() for template, n in of.items() if n}
    )
    assert told.items() <= everything.items()
    assert sorted(told.values()) == sorted(n for _, n in everything.most_common(most))
    assert rest == everything.total() - sum(told.values())
