"""The JSON Schema organization's own tests of draft 2020-12, as they come with the source of `jsonschema` 4.26.

`suite/draft2020-12.json` holds the required ones, a case a line: file, description, schema, and its tests, each
with description, data and whether it is valid.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compartmentd.configuration.payloads.parts import UnresolvedError
from compartmentd.configuration.payloads.validator import PayloadValidator, PayloadVerdict

CASES = json.loads(Path(__file__).with_name("suite").joinpath("draft2020-12.json").read_bytes())

REFUSED = {
    ("defs", "validate definition against metaschema"),
    ("dynamicRef", "strict-tree schema, guards against misspelled properties"),
    ("dynamicRef", "tests for implementation dynamic anchor and reference link"),
    ("dynamicRef", "$ref and $dynamicAnchor are independent of order - $defs first"),
    ("dynamicRef", "$ref and $dynamicAnchor are independent of order - $ref first"),
    ("dynamicRef", "$ref to $dynamicRef finds detached $dynamicAnchor"),
    ("ref", "remote ref, containing refs itself"),
    *(("refRemote", description) for file, description, *_ in CASES if file == "refRemote"),
}
"""Schemas that refer to other files, which are never fetched."""

DIALECTS = {("vocabulary", "schema that uses custom metaschema with with no validation vocabulary")}
"""Schemas of another dialect, which are refused when a configuration is read."""


def label(case: list[Any]) -> str:
    return f"{case[0]}: {case[1]}"


@pytest.mark.parametrize("case", [case for case in CASES if (case[0], case[1]) not in DIALECTS], ids=label)
def test_the_suite(case: list[Any]) -> None:
    file, description, schema, tests = case
    if (file, description) in REFUSED:
        with pytest.raises(UnresolvedError):
            PayloadValidator(schema)
        return
    validator = PayloadValidator(schema)
    for told, data, valid in tests:
        verdict = validator.validate(json.dumps(data, ensure_ascii=False).encode())
        assert verdict is (PayloadVerdict.VALID if valid else PayloadVerdict.INVALID), told
