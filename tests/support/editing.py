"""Texts with a cursor, as an editor has them, for the tests of `language`."""

from __future__ import annotations

from collections.abc import Mapping

from compartmentd.language.block_reader import read_outline
from compartmentd.language.complete import Item, list_completions, mark_position
from compartmentd.language.names import Names
from compartmentd.language.outline import Position

FILE = "compartments.yaml"


def take_cursor(text: str) -> tuple[str, Position]:
    """Return a text without its first `|`, and where that was."""
    before, _, after = text.partition("|")
    return before + after, Position(before.count("\n"), len(before) - before.rfind("\n") - 1)


def read_names(text: str, others: Mapping[str, str] | None = None) -> Names:
    """Return the names of a main file with this text, and of the others."""
    texts = {FILE: text, **(others or {})}
    return Names(texts, {file: read_outline(each) for file, each in texts.items()})


def complete(marked: str, others: Mapping[str, str] | None = None) -> dict[str, Item]:
    """Return what is offered at the `|` of a text, by label; nothing is offered twice."""
    text, position = take_cursor(marked)
    items = list_completions(FILE, position, read_names(mark_position(text, position), others))
    assert len({item.label for item in items}) == len(items)
    return {item.label: item for item in items}


def accept(marked: str, label: str, others: Mapping[str, str] | None = None) -> str:
    """Return the text after an item was chosen."""
    text, position = take_cursor(marked)
    item = complete(marked, others)[label]
    lines = text.split("\n")
    assert item.range.start.line == item.range.end.line == position.line
    line = lines[position.line]
    lines[position.line] = line[: item.range.start.column] + item.insert + line[item.range.end.column :]
    return "\n".join(lines)
