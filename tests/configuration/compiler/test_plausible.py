"""Whether a rule can hold without a token."""

from __future__ import annotations

import pytest

from compartmentd.configuration.compiler.plausible import holds_without_token
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.rules import DeclaredNames, RuleReader
from compartmentd.document.source import Source
from compartmentd.document.yamldoc import parse

NAMED = {"open": "public", "loop": "{rule: loop}"}


def rule(text: str):
    root = parse(Source("f", text)).root
    assert root is not None
    return RuleReader(Report(), DeclaredNames(NAMED), DeclaredNames(())).read(root)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("public", True),
        ("authenticated", False),
        ("nobody", False),
        ("{scope: a}", None),
        ("{claim: a, exists: false}", None),
        ("{not: authenticated}", True),
        ("{not: {scope: a}}", None),
        ("{all: [public, {scope: a}]}", None),
        ("{all: [nobody, {scope: a}]}", False),
        ("{any: [public, {scope: a}]}", True),
        ("{any: [nobody, {scope: a}]}", None),
        ("{any: [nobody, authenticated]}", False),
        ("{rule: open}", True),
        ("{rule: loop}", None),
    ],
)
def test_without_a_token(text, holds):
    named = {name: rule(body) for name, body in NAMED.items()}
    assert holds_without_token(rule(text), named) is holds
