"""The words of other systems: each leads to a key or form of ours, and none to its opposite or to a wider rule."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from compartmentd.document import schema as schema_check
from compartmentd.document.bundled import schema
from compartmentd.document.elsewhere import normalize, translate_key, translate_rule_word
from compartmentd.document.elsewhere_keys import ANYWHERE, KEYS
from compartmentd.document.elsewhere_rules import RULE_KEYS, RULE_WORDS
from compartmentd.document.nearest import find_nearest
from compartmentd.document.source import Source
from compartmentd.document.yamldoc import parse

DEFINITIONS = {"top": schema(), **schema()["$defs"]}
TABLES = {**KEYS, "rule": RULE_KEYS}
ROWS = [
    (definition, word, key, help_)
    for definition, rows in TABLES.items()
    for words, (key, help_) in rows.items()
    for word in words.split()
]
"""Keys that another part of the product adds."""


def help_of(rule: str) -> str:
    """Return the help of the one problem of a rule."""
    root = parse(Source("f", f"version: 1\nnamespaces: {{/: {{connect: {rule}}}}}\n")).root
    assert root is not None
    (problem,) = schema_check.check(root)
    return problem.help


def test_a_row_stands_for_a_key_of_its_mapping_or_for_none():
    for definition, word, key, _ in ROWS:
        assert key is None or key in DEFINITIONS[definition]["properties"], (definition, word)
    everywhere = {key for part in DEFINITIONS.values() for key in part.get("properties", {})}
    assert {key for key, _ in ANYWHERE.values() if key} <= everywhere


def test_no_word_of_the_tables_is_a_key_of_ours_there():
    # `authenticated` and its like are rules, written as keys.
    words = {(definition, normalize(word)) for definition, word, _, _ in ROWS}
    for definition in TABLES:
        for key in DEFINITIONS[definition]["properties"]:
            assert (definition, normalize(key)) not in words, (definition, key)


def test_no_word_stands_twice_in_a_table():
    for table in (*TABLES.values(), ANYWHERE, RULE_WORDS):
        words = [normalize(word) for row in table for word in row.split()]
        assert len(words) == len(set(words)), [word for word in words if words.count(word) > 1]


@pytest.mark.parametrize("value", [None, True, "a", 7, ["a", "b"], {"origin": "a"}, [], {}])
def test_every_help_is_filled_in(value):
    for definition, word, _, _ in ROWS:
        told = translate_key(definition, word, value)
        assert told is not None
        assert not re.search(r"\{(value|list|one|several|key)\}|\{\{", told.help), told.help


@pytest.mark.parametrize(
    ("rule", "form", "never"),
    [
        ("{and: [authenticated]}", "`all: [...]`", "any"),
        ("{AND: [authenticated]}", "`all: [...]`", "any"),
        ('{"&&": [authenticated]}', "`all: [...]`", "any"),
        ("{every: [authenticated]}", "`all: [...]`", "any:"),
        ("{allOf: [authenticated]}", "`all: [...]`", "any"),
        ("{or: [authenticated]}", "`any: [...]`", "all:"),
        ("{any_of: [authenticated]}", "`any: [...]`", "all:"),
        ("{nor: [authenticated]}", "`{not: {any: [...]}}`", "all"),
        ("{none: [authenticated]}", "`{not: {any: [...]}}`", "`any"),
        ("{deny: authenticated}", "{not: RULE}", "any"),
        ("{not_in: [a]}", "{not: {claim: NAME, one_of: [a]}}", "contains"),
        ("{claim: a, gt: 5}", "the number itself", "write `at_least: 5`"),
        ("{claim: a, lt: 5}", "the number itself", "write `at_most: 5`"),
        ("{claim: a, not_equals: b}", "{not: {claim: NAME, equals: b}}", "write `equals"),
        ("{roles: [staff]}", "`{claim: roles, contains: staff}`", "rule"),
        ("{scopes: [a, b]}", "`all_scopes: [a, b]`", "any_scopes"),
        ("everyone", "`authenticated` lets in anyone with a token", "did you mean"),
        ("all", "`authenticated` lets in anyone with a token", "did you mean"),
        ("none", "`nobody`", "public"),
        ("deny", "`nobody`", "public"),
        ("private", "`{scope: chat:read}`", "public"),
        ("user", "`authenticated`", "public"),
        ("member", "`members`", "public"),
        ("staff", "`{claim: roles, contains: staff}`", "public"),
        ("no_body", "`nobody`", "public"),
        ("publik", "`public`", "nobody"),
    ],
)
def test_a_rule_is_led_to_what_it_means(rule, form, never):
    told = help_of(rule)
    assert form in told
    assert never not in told


@given(st.sampled_from(sorted(normalize(word) for words in RULE_KEYS for word in words.split())))
def test_a_known_word_is_never_judged_by_its_likeness(word):
    told = translate_key("rule", word)
    assert told is not None
    assert "did you mean" not in told.help


def test_likeness_alone_would_have_led_to_the_opposite():
    assert find_nearest("and", DEFINITIONS["rule"]["properties"]) == "any"


def test_an_unknown_word_has_no_translation():
    assert translate_key("rule", "zebra") is None
    assert translate_rule_word("zebra") is None
