"""Quantities: one integer and one unit, the same in the schema and in the code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from compartmentd.document import units
from compartmentd.document.bundled import schema

DEFINITIONS = {"size": "size", "duration": "duration", "rate": "rate_limit"}


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("1B", "size", 1),
        ("64KiB", "size", 65536),
        ("2MiB", "size", 2 * 1024 * 1024),
        ("1GiB", "size", 1024**3),
        ("500ms", "duration", 0.5),
        ("30s", "duration", 30),
        ("5m", "duration", 300),
        ("24h", "duration", 86400),
        ("2d", "duration", 172800),
        ("20/s", "rate", 20),
        ("60/m", "rate", 1),
        ("3600/h", "rate", 1),
    ],
)
def test_quantities(text, unit, value):
    assert units.parse_quantity(text, unit) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0s",
        "00s",
        "01s",
        "1",
        "s",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        "+1s",
        "-1s",
        "1.5s",
        "1S",
        "1m30s",
        "1KB",
        "1/d",
    ],
)
@pytest.mark.parametrize("unit", ["size", "duration", "rate", "count"])
def test_other_forms_are_none(text, unit):
    assert units.parse_quantity(text, unit) is None


@pytest.mark.parametrize(("unit", "name"), DEFINITIONS.items())
@given(data=st.data())
def test_schema_and_code_take_the_same_forms(unit, name, data):
    definition = schema()["$defs"][name]
    pattern = definition["pattern"]
    text = data.draw(
        st.from_regex(pattern) | st.from_regex(r"\A[0-9]{1,13} ?(B|KiB|ms|s|m|h|d|/s|/m|/h|KB)?\Z")
    )
    accepted = re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None
    read = text == units.UNLIMITED if definition["x-unlimited"] else False
    assert accepted == (read or units.parse_quantity(text, unit) is not None)


@pytest.mark.parametrize(
    ("value", "unit", "meant"),
    [
        (30, "duration", "30s"),
        ("5 minutes", "duration", "5m"),
        ("100KB", "size", "100KiB"),
        ("1 mb", "size", "1MiB"),
        ("10/second", "rate", "10/s"),
        (50, "rate", "50/s"),
        (0, "duration", None),
        ("0s", "duration", None),
        (True, "duration", None),
        (1.5, "size", None),
        ("1m30s", "duration", None),
        ("plenty", "size", None),
        (None, "rate", None),
        (3, "count", None),
    ],
)
def test_what_was_probably_meant(value, unit, meant):
    assert units.suggest_quantity(value, unit) == meant


@given(st.integers() | st.text(max_size=20), st.sampled_from(["size", "duration", "rate"]))
def test_a_suggestion_is_always_of_the_right_form(value, unit):
    meant = units.suggest_quantity(value, unit)
    assert meant is None or units.parse_quantity(meant, unit) is not None
