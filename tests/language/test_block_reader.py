"""The outline of finished texts is the parser's, and unfinished ones have one all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.document.node import Node
from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse
from compartmentd.language.block_reader import read_outline
from compartmentd.language.outline import OutlinePart
from tests.support.cases import CASES, Case
from tests.support.markdown import DOCS, blocks

ROOT = Path(__file__).parents[2]


def read_texts() -> Iterator[Any]:
    """Yield every YAML text of the tree that the parser reads without a problem."""
    files = [*(ROOT / "config").rglob("*.yaml"), *DOCS.rglob("*.yaml")]
    found = [(str(path.relative_to(ROOT)), path.read_text()) for path in sorted(files)]
    for page in sorted(DOCS.rglob("*.md")):
        found += [
            (f"{page.name}-{number}", text) for number, text in enumerate(blocks(page.read_text(), "yaml"))
        ]
    for path in sorted(CASES.glob("*.case")):
        found += [(f"{path.name}-{name}", text) for name, text in Case.read(path).sections.items()]
    for name, text in found:
        source = decode(name, text.encode())
        parsed = parse(source) if isinstance(source, Source) else None
        if parsed is not None and parsed.root is not None and not parsed.problems:
            yield pytest.param(text, id=name)


def walk(node: Node, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Node]]:
    yield path, node
    children = node.children.items() if isinstance(node.children, dict) else enumerate(node.children or ())
    for step, child in children:
        yield from walk(child, (*path, step))


def is_block_scalar(part: OutlinePart) -> bool:
    return not part.quoted and part.text[:1] in ("|", ">")


@pytest.mark.parametrize("text", list(read_texts()))
def test_it_is_the_parsers(text: str) -> None:
    root = parse(Source("f", text)).root
    assert root is not None
    read = {part.path: part for part in read_outline(text).walk()}
    wanted = dict(walk(root))
    assert read.keys() == wanted.keys()
    for path, node in wanted.items():
        part = read[path]
        if node.key_mark is not None:
            assert (*part.key_range.start, *part.key_range.end) == tuple(place - 1 for place in node.key_mark)
        if part.kind == "scalar" and not is_block_scalar(part):
            assert (*part.range.start, *part.range.end) == tuple(place - 1 for place in node.mark)
            assert (
                part.text == node.data
                or not isinstance(node.data, str)
                or part.range.start.line < part.range.end.line
            )


def shape(part: OutlinePart) -> Any:
    """Return a part as plain data; a key without its colon ends with `?`."""
    if part.kind == "mapping":
        return {f"{child.key}{'' if child.colon else '?'}": shape(child) for child in part.children}
    if part.kind == "sequence":
        return [shape(child) for child in part.children]
    return part.text if part.kind == "scalar" else None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("ver", "ver"),
        ("a: 1\nb", {"a": "1", "b?": None}),
        ("b\na: 1", {"b?": None, "a": "1"}),
        ("a:\n  b\n", {"a": "b"}),
        ("a:\n  b\n  c: 1\n", {"a": {"b?": None, "c": "1"}}),
        ("a:\n  c: 1\n  b\nd: 2\n", {"a": {"c": "1", "b?": None}, "d": "2"}),
        ("a: {b: 1, c", {"a": {"b": "1", "c?": None}}),
        ("a: {b: 1, c: \nd: 2", {"a": {"b": "1", "c": None}, "d": "2"}),
        ("a: [b, \nd: 2", {"a": ["b"], "d": "2"}),
        ("a: [{b: {c: [\nd: 2", {"a": [{"b": {"c": []}}], "d": "2"}),
        ('a: "b\nd: 2', {"a": "b", "d": "2"}),
        ('a: "b\n  c"\nd: 2', {"a": "b\n  c", "d": "2"}),
        ("a: 'b\nd: 2", {"a": "b", "d": "2"}),
        ('a: {b: "c}\nd: 2', {"a": {"b": "c}"}, "d": "2"}),
        (
            "a:\n  - b\n  -\n  - {c: 1\n  - d: 2\n    e",
            {"a": ["b", None, {"c": "1"}, {"d": "2", "e?": None}]},
        ),
        ("a:\n- b\n- c\nd: 2", {"a": ["b", "c"], "d": "2"}),
        ("a:\n- b\n- c", {"a": ["b", "c"]}),
        ("a: |\n  text: no key\n  - nor item\nb: 1", {"a": "|", "b": "1"}),
        ("a:\n    b: 1\n  c: 2\nd: 3", {"a": {"b": "1", "c": "2"}, "d": "3"}),
        ("a: b # c: d\n# e: f\ng: h#i", {"a": "b", "g": "h#i"}),
        ("- - a\n  - b\n- c", [["a", "b"], "c"]),
        ("a: [b: 1]", {"a": [{"b": "1"}]}),
        ("a: }\nb: 1", {"a": "}", "b": "1"}),
        ("a: {b: 1}}}\nb: 1", {"a": {"b": "1"}, "b": "1"}),
        ("a: {,,: x]\nb: 1", {"a": {"": "x"}, "b": "1"}),
    ],
)
def test_an_unfinished_text_has_an_outline(text: str, wanted: Any) -> None:
    assert shape(read_outline(text)) == wanted


@given(st.text(alphabet="ab:-{}[]\"'#,|> \n\t\\&*!?é", max_size=60))
def test_any_text_has_an_outline_with_ranges_inside_it(text: str) -> None:
    lines = text.split("\n")
    for part in read_outline(text).walk():
        for range_ in (part.range, part.key_range):
            assert range_.start <= range_.end
            for place in range_:
                assert place.column <= len(lines[place.line])


def test_an_adverse_text_is_read_in_linear_time() -> None:
    for text in (
        "a" * 50_000,
        "{" * 500 + "a" * 50_000,
        "a: " * 20_000,
        '"' * 50_000,
        "[" * 5000,
        "- " * 5000,
        "{a: " * 5000,
        "a #" * 20_000,
    ):
        read_outline(text)
