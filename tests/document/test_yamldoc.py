"""YAML, the safe subset: plain data, the place of every part, and a problem for all that is left out."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from compartmentd.document import yamldoc
from compartmentd.document.node import Node
from compartmentd.document.source import MAX_BYTES, Source
from compartmentd.document.yamldoc import MAX_DEPTH, MAX_NODES, ReadingBudget, parse

EXAMPLE = """\
version: 1
server: {listen: ["a:1", 'b'], é𝄞: x}   # a comment
rules:
  deep:
    all:
      - {scope: a}
      - not: public
  folded: >-
    two
    lines

"last": "\\x41 and \\U0001F600"
"""


def read(text: str) -> Node:
    parsed = parse(Source("f.yaml", text))
    assert parsed.problems == ()
    assert parsed.root is not None
    return parsed.root


def codes(text: str) -> list[tuple[str, int, int]]:
    return [(p.code, p.span.line, p.span.column) for p in parse(Source("f.yaml", text)).problems]


def marks(node: Node) -> Any:
    """Return every place of a document, for comparison."""
    children = node.children
    if isinstance(children, dict):
        parts: Any = {key: marks(child) for key, child in children.items()}
    else:
        parts = [marks(child) for child in children or ()]
    return node.mark, node.key_mark, parts


def test_data_is_plain():
    assert read(EXAMPLE).data == {
        "version": 1,
        "server": {"listen": ["a:1", "b"], "é𝄞": "x"},
        "rules": {"deep": {"all": [{"scope": "a"}, {"not": "public"}]}, "folded": "two lines"},
        "last": "A and 😀",
    }


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (["version"], (1, 1, 1, 8), (1, 10, 1, 11)),
        (["server", "listen", 1], (2, 26, 2, 29), (2, 26, 2, 29)),
        (["server", "é𝄞"], (2, 32, 2, 34), (2, 36, 2, 37)),
        (["server"], (2, 1, 2, 7), (2, 9, 2, 38)),
        (["rules", "deep", "all"], (5, 5, 5, 8), (6, 7, 7, 20)),
        (["rules", "deep", "all", 1, "not"], (7, 9, 7, 12), (7, 14, 7, 20)),
        (["last"], (12, 1, 12, 7), (12, 9, 12, 30)),
    ],
)
def test_every_key_and_value_has_its_place(path, key, value):
    """Lines and columns count from 1, columns in code points; a block ends with its last part."""
    node = read(EXAMPLE).at(path)
    assert (node.key_span.line, node.key_span.column, node.key_span.end_line, node.key_span.end_column) == key
    assert (node.span.line, node.span.column, node.span.end_line, node.span.end_column) == value
    assert node.span.file == "f.yaml"


def test_both_scanners_of_pyyaml_give_the_same_document(monkeypatch):
    fast = marks(read(EXAMPLE))
    monkeypatch.setattr(yamldoc, "LOADER", yaml.SafeLoader)
    slow = marks(read(EXAMPLE))
    # Block scalars end for PyYAML's own scanner before the line break, for libyaml after it.
    assert fast[2]["server"] == slow[2]["server"]
    assert fast[2]["rules"][2]["deep"] == slow[2]["rules"][2]["deep"]
    assert fast[2]["last"] == slow[2]["last"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\nb: *x\n", [("yaml.anchor", 1, 4), ("yaml.alias", 2, 4)]),
        ("a: &x [*x]\n", [("yaml.alias", 1, 8), ("yaml.anchor", 1, 4)]),
        ("a: !!python/object:os.system x\n", [("yaml.tag", 1, 4)]),
        ("a: ! x\n", [("yaml.tag", 1, 4)]),
        ("a: !!map {b: 1}\n", [("yaml.tag", 1, 4)]),
        ("a: {<<: {b: 1}}\n", [("yaml.merge", 1, 5)]),
        ("a: 1\na: 2\na: 3\n", [("yaml.duplicate-key", 2, 1), ("yaml.duplicate-key", 3, 1)]),
        ('a: 1\n"a": 2\n', [("yaml.duplicate-key", 2, 1)]),
        ("a: {b: no, c: 010}\n", [("yaml.trap", 1, 8), ("yaml.trap", 1, 15)]),
        ("no: 1\n", [("yaml.trap", 1, 1)]),
        ("1: a\n", [("yaml.key", 1, 1)]),
        ("a: [99999999999999999999]\n", [("yaml.number", 1, 5)]),
        ("", [("yaml.empty", 1, 1)]),
        ("# nothing\n---\n", []),
        ("a: 1\n---\nb: no\n", [("yaml.documents", 2, 1)]),
        ("a: 1\n...\n", []),
        ("a:\n\tb: 1\n", [("yaml.tab", 2, 1)]),
        ("a: b: c\n", [("yaml.syntax", 1, 5)]),
        ("a: no\nb: [1\n", [("yaml.trap", 1, 4), ("yaml.syntax", 2, 4)]),
        ('a: "\\q"\n', [("yaml.syntax", 1, 5)]),
        ("a: @x\n", [("yaml.syntax", 1, 4)]),
        ("a: %x\n", [("yaml.syntax", 1, 4)]),
    ],
)
def test_what_the_subset_leaves_out_is_refused_where_it_stands(text, expected):
    assert codes(text) == expected


def test_half_a_surrogate_pair_is_refused_by_either_scanner(monkeypatch):
    assert codes('a: "\\ud800"\n') == [("yaml.syntax", 1, 7)]
    monkeypatch.setattr(yamldoc, "LOADER", yaml.SafeLoader)
    assert codes('a: "\\ud800"\n') == [("yaml.surrogate", 1, 4)]


def test_a_quoted_trap_is_text():
    assert read("a: 'no'\nb: \"010\"\nc: '<<'\n'on': |\n  12:30\n").data == {
        "a": "no", "b": "010", "c": "<<", "on": "12:30\n",
    }  # fmt: skip


def test_a_problem_of_a_value_marks_it_and_nothing_else():
    parsed = parse(Source("f", "a: no\nb: {c: 1, c: 2}\n"))
    assert parsed.root is not None
    assert parsed.root.fields["a"].broken
    assert not parsed.root.fields["b"].broken
    assert parsed.root.fields["b"].holes == ("c",)
    assert parsed.root.holes == ()
    assert parsed.root.get("a") is None
    assert [key for key, _ in parsed.root.usable()] == ["b"]


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "expected"), [(MAX_DEPTH - 1, []), (MAX_DEPTH, ["yaml.depth"])])
def test_depth(depth, expected):
    assert [code for code, _, _ in codes("[" * depth + "1" + "]" * depth)] == expected


def test_deep_nesting_costs_nothing():
    assert [code for code, _, _ in codes("[" * 1_000_000)] == ["yaml.depth"]
    assert [code for code, _, _ in codes("- " * 200_000)] == ["yaml.depth"]


def test_nodes_are_counted_over_all_files():
    budget = ReadingBudget(nodes=5)
    assert parse(Source("a", "[1, 2]"), budget).problems == ()
    (problem,) = parse(Source("b", "[1,\n 2]"), budget).problems
    assert (problem.code, problem.span.file, problem.span.line) == ("yaml.nodes", "b", 2)


def test_bytes_are_counted_over_all_files():
    budget = ReadingBudget(size=10)
    assert parse(Source("a", "[1, 2]"), budget).problems == ()
    assert [problem.code for problem in parse(Source("b", "[1, 2]"), budget).problems] == ["text.size"]


def test_the_limits_are_those_that_are_documented():
    assert (MAX_BYTES, MAX_NODES, MAX_DEPTH) == (64 * 1024 * 1024, 5_000_000, 64)


# --- every way in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", range(len(EXAMPLE) + 1))
def test_every_beginning_of_a_file_is_a_document_or_a_problem(end):
    parsed = parse(Source("f", EXAMPLE[:end]))
    assert (parsed.root is None) <= bool(parsed.problems)


@given(st.text(alphabet="ab01 :-,[]{}\"'\n&*!|>%@`#?\t\\.~<", max_size=60))
def test_any_text_is_a_document_or_a_problem(text):
    parsed = parse(Source("f", text))
    assert parsed.root is not None or parsed.problems
    for problem in parsed.problems:
        assert problem.span.line >= 1
        assert problem.span.column >= 1


_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=10)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(_values)
def test_what_pyyaml_writes_is_read_back(value):
    text = yaml.safe_dump(value, allow_unicode=False, default_style='"' if isinstance(value, str) else None)
    parsed = parse(Source("f", text.removesuffix("...\n")))
    if (
        not parsed.problems
    ):  # `no` and its kin are written in quotes by PyYAML; half surrogates cannot be read
        assert parsed.root is not None
        assert parsed.root.data == value
    else:
        assert {problem.code for problem in parsed.problems} <= {
            "yaml.syntax",
            "yaml.alias",
            "yaml.anchor",
            "yaml.key",
        }
