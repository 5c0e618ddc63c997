"""The parts of a documentation page that tests read: its fenced blocks and its tables.

A page is written for people and tested as it stands: what a test runs is the text that a reader copies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    """Return the text of a page below `docs/`."""
    return (DOCS / name).read_text()


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks in this language, in order."""
    return [block for written, block in _FENCED.findall(text) if written == language]


def block(text: str, language: str) -> str:
    """Return the one fenced block in this language."""
    [found] = blocks(text, language)
    return found


def tables(text: str, *header: str) -> list[list[list[str]]]:
    """Return the rows of each table with these column names; a row is a list of cells."""
    outside = _FENCED.sub("", text)
    found = [_rows(lines) for lines in _tables(outside)]
    return [rows for names, *rows in found if names == list(header)]


def code(cell: str) -> list[str]:
    """Return the parts of a cell that are set as code."""
    return re.findall(r"`([^`]+)`", cell)


def _tables(text: str) -> Iterator[list[str]]:
    for paragraph in re.split(r"\n{2,}", text):
        lines = [line for line in paragraph.splitlines() if line.startswith("|")]
        if len(lines) > 2 and set(lines[1]) <= set("|-: "):
            yield [lines[0], *lines[2:]]


def _rows(lines: list[str]) -> list[list[str]]:
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines
    ]
