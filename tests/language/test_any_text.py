"""Nothing that is typed, and no position, makes completion, hover or a look-up fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.language.complete import list_completions, mark_position
from compartmentd.language.hover import find_hover
from compartmentd.language.outline import Position
from compartmentd.language.references import find_reference, find_references
from compartmentd.language.symbols import list_symbols
from tests.support.cases import CASES, Case
from tests.support.editing import FILE, read_names

ROOT = Path(__file__).parents[2]
TEXTS = [
    *((ROOT / f"config/{name}.yaml").read_text() for name in ("compartments", "demo")),
    *(text for path in sorted(CASES.glob("*.case")) for text in Case.read(path).files.values()),
]


def ask_everything(text: str, position: Position) -> None:
    marked = read_names(mark_position(text, position))
    for item in list_completions(FILE, position, marked):
        assert item.range.start.line == item.range.end.line == position.line
        assert item.range.start <= position <= item.range.end
    names = read_names(text)
    root = names.outlines[FILE]
    find_hover(root, position, names)
    list_symbols(root)
    reference = find_reference(root, position)
    if reference is not None:
        find_references(reference, FILE, names)


def find_end(text: str) -> Position:
    return Position(text.count("\n"), len(text) - text.rfind("\n") - 1)


@settings(max_examples=300)
@given(st.data())
def test_a_configuration_that_ends_anywhere(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    text = text[: data.draw(st.integers(0, len(text)))]
    ask_everything(text, find_end(text))


@settings(max_examples=300)
@given(st.data())
def test_a_configuration_with_something_typed_anywhere(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS[:2]))
    assert isinstance(text, str)
    at = data.draw(st.integers(0, len(text)))
    typed = data.draw(st.text(alphabet="{}[]\"':,-# \nab|>&*!?%@\\", max_size=4))
    text = text[:at] + typed + text[at + data.draw(st.integers(0, 5)) :]
    ask_everything(text, find_end(text[: at + len(typed)]))


@pytest.mark.parametrize(
    "text", ["", "\n", "\t", "rules: {a: {rule: a}}", "namespaces:\n  /a: {rooms: {}}\n"]
)
def test_every_position_of_a_short_text(text: str) -> None:
    for row, line in enumerate(text.split("\n")):
        for column in range(len(line) + 1):
            ask_everything(text, Position(row, column))
