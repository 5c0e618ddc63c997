"""Finds texts with characters that look like others: curly quotes round them, and what no editor shows."""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.document.node import Node
from compartmentd.document.spell import (
    describe_character,
    find_curly_quote,
    find_invisible,
    spell_flow,
    unquote,
)
from compartmentd.problems import Problem, Span, show_lines

_FOR_READERS = frozenset({"description"})
"""Keys whose texts are for people: any character may stand there."""


def find_suspicious_texts(root: Node, text: str) -> list[Problem]:
    """Return a warning for each key and value that is not what it looks like.

    Args:
        root: The document; broken values are left out, since a problem of them is reported already.
        text: The text of the file.
    """
    # Nearly every file has none. Tabs and line breaks are no part of what is looked for.
    if text.isascii() or (
        find_curly_quote(text) is None
        and find_invisible(text.replace("\n", "").replace("\t", "").replace("\r", "")) is None
    ):
        return []
    return list(show_lines(_walk(root), text))


def _walk(root: Node) -> Iterator[Problem]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        children = (
            node.children.items() if isinstance(node.children, dict) else enumerate(node.children or ())
        )
        for key, child in children:
            if child.broken or key in _FOR_READERS:
                continue
            if isinstance(key, str):
                yield from _check_text(key, child.key_span)
            if isinstance(child.data, str):
                yield from _check_text(child.data, child.span)
            waiting.append(child)


def _check_text(text: str, span: Span) -> Iterator[Problem]:
    bare = unquote(text)
    if text.isascii() or bare == text:
        return
    at = find_invisible(text)
    message = (
        f"{describe_character(text[0])} is a part of this text, and no quote in YAML"
        if at is None
        else f"{describe_character(text[at])} is a part of this text, and no editor shows it"
    )
    yield Problem("warning", "text.character", message, span, f"write `{spell_flow(bare)}`")
