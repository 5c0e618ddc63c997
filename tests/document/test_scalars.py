"""Unquoted scalars: taken where every reader of YAML takes them for the same thing, else refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, strategies as st

from compartmentd.document.scalars import TooLarge, Trap, resolve_scalar

PLAIN = {
    "true": True, "True": True, "FALSE": False, "null": None, "~": None, "": None,
    "0": 0, "-0": 0, "7": 7, "+7": 7, "-12": -12, "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "1.5": 1.5, "-0.25": -0.25, "1.5e+3": 1500.0,
    "y": "y", "n": "n", "nope": "nope", "tRuE": "tRuE", "10s": "10s", "64KiB": "64KiB", "1.2.3": "1.2.3",
    "127.0.0.1:8000": "127.0.0.1:8000", "unix:/a": "unix:/a", "-": "-", "+": "+", ".": ".", "...": "...",
    "12:60": "12:60", "a:b": "a:b", "2026-11": "2026-11", "==": "==", "0b2": "0b2", "\u0661": "\u0661",
}  # fmt: skip
TRAPS = [
    *("yes", "No", "ON", "off", "010", "007", "-012", "0o17", "0x1F", "0b10", "1_000", "1_0.5", "12:30", "09:30"),
    *("1:20:30", "190:20:30.15", "2026-11-24", "2026-11-24T10:00:00Z", "2026-1-2 3:4:5", "1e3", "1E-3", "1.5e3"),
    *("1.", ".5", "01.5", ".inf", "-.INF", ".nan", "=", "+.5"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_plain_values(text, value):
    found = resolve_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", TRAPS)
def test_traps_are_refused_with_a_reason(text):
    found = resolve_scalar(text)
    assert isinstance(found, Trap)
    assert found.reason


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775809", "9" * 5000, "1" + "0" * 400 + ".0"]
)
def test_numbers_beyond_64_bits_are_refused(text):
    assert isinstance(resolve_scalar(text), TooLarge)


@given(st.text(alphabet="0123456789+-._:eExobyYnNOofTZ =~", max_size=12))
def test_what_is_taken_is_what_pyyaml_takes_it_for(text):
    """PyYAML reads YAML 1.1: with it a value is either the same here, or refused here."""
    found = resolve_scalar(text)
    if isinstance(found, Trap | TooLarge):
        return
    loader = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    names = {str: "str", int: "int", float: "float", bool: "bool", type(None): "null"}
    assert tag == f"tag:yaml.org,2002:{names[type(found)]}"
