"""Parses a safe subset of YAML to plain data with the position of every key and value.

It reads PyYAML's events, so that nothing is built before it is checked: no anchors, aliases, tags, merge keys or
duplicate keys; one document; bounded depth and number of nodes. Every problem of a file is reported; a syntax error
ends its own file only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from compartmentd.document.node import MERGE, Mark, Node
from compartmentd.document.scalars import TooLarge, Trap, resolve_scalar
from compartmentd.document.source import MAX_BYTES, Source
from compartmentd.document.spell import describe_character, find_invisible
from compartmentd.document.syntax import LOADER, explain_syntax
from compartmentd.problems import Problem, Span, show_lines, span_of_file

MAX_NODES = 5_000_000
MAX_DEPTH = 64


class ReadingBudget:
    """The bytes and nodes that may still be read, shared by all files of a configuration."""

    def __init__(self, size: int = MAX_BYTES, nodes: int = MAX_NODES) -> None:
        self.bytes = size
        self.nodes = nodes


class Parsed:
    """The result for a file: the root, or `None` if the text could not be read to its end."""

    def __init__(self, root: Node | None, problems: tuple[Problem, ...]) -> None:
        self.root = root
        self.problems = problems


class _StopError(Exception):
    """The rest of the file cannot be read; the problem is already noted."""


def parse(source: Source, budget: ReadingBudget | None = None) -> Parsed:
    """Read one YAML file.

    Args:
        source: The file.
        budget: The limits; reading reduces them.
    """
    reader = _Reader(source, budget or ReadingBudget())
    try:
        root = reader.read()
    except _StopError:
        root = None
    except yaml.MarkedYAMLError as error:
        problem = explain_syntax(source, error)
        known = {(each.code, each.span.line) for each in reader.problems}
        if (problem.code, problem.span.line) not in known:  # an invisible character may be reported already
            reader.problems.append(problem)
        root = None
    return Parsed(root, tuple(show_lines(reader.problems, source.text)))


class _Reader:
    def __init__(self, source: Source, budget: ReadingBudget) -> None:
        self.source = source
        self.budget = budget
        self.problems: list[Problem] = []
        self.next = LOADER(source.text).get_event

    def read(self) -> Node:
        size = len(self.source.text.encode())
        if size > self.budget.bytes:
            self.stop(
                span_of_file(self.source.name), "text.size", "the files together are larger than 64 MiB", ""
            )
        self.budget.bytes -= size
        self.next()  # the stream's start
        event = self.next()
        if isinstance(event, yaml.StreamEndEvent):
            self.stop(
                span_of_file(self.source.name),
                "yaml.empty",
                "the file is empty",
                "a configuration begins with `version: 1`",
            )
        root = self.read_value(self.next(), 1)
        self.next()  # the document's end
        event = self.next()
        if not isinstance(event, yaml.StreamEndEvent):
            where = Span(self.source.name, *_mark(event, event))
            self.stop(
                where,
                "yaml.documents",
                "a second document begins here",
                "keep one document in a file; `include` joins files",
            )
        return root

    def read_value(self, event: Any, depth: int) -> Node:
        self.budget.nodes -= 1
        if self.budget.nodes < 0:
            self.stop(
                self.find_span(event), "yaml.nodes", "the files together hold more than 5,000,000 values", ""
            )
        if depth > MAX_DEPTH:
            self.stop(
                self.find_span(event), "yaml.depth", f"the file is nested more than {MAX_DEPTH} deep", ""
            )
        if isinstance(event, yaml.AliasEvent):
            return self.read_alias(event)
        if isinstance(event, yaml.ScalarEvent):
            node = self.read_scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self.read_mapping(event, depth)
        else:
            node = self.read_sequence(event, depth)
        if event.anchor is not None or event.tag is not None:
            self.read_properties(event, node)
        return node

    def read_scalar(self, event: Any) -> Node:
        node = Node(self.source.name, _mark(event, event), event.value)
        if event.style:
            # YAML's escapes can spell half a surrogate pair, which UTF-8 cannot encode, so no client can send it.
            if any("\ud800" <= character <= "\udfff" for character in event.value):
                self.refuse(
                    node,
                    "yaml.surrogate",
                    "the text holds half a surrogate pair",
                    "write the character itself",
                )
        elif event.tag is None:
            self.read_plain(node, event.value)
        return node

    def read_plain(self, node: Node, text: str) -> None:
        value = resolve_scalar(text)
        if text and not (text[0].isascii() and text[-1].isascii()) and self.refuse_invisible(node, text):
            return
        if isinstance(value, Trap):
            self.refuse(
                node,
                "yaml.trap",
                f"`{text}` without quotes is {value.reason}",
                f'{f"write `{value.meant}`, or" if value.meant else "write"} "{text}" if the text is meant',
            )
        elif isinstance(value, TooLarge):
            self.refuse(
                node,
                "yaml.number",
                f"`{_shorten(text)}` does not fit in 64 bits",
                "write it in quotes if the text is meant",
            )
        else:
            node.data = value

    def refuse_invisible(self, node: Node, text: str) -> bool:
        """Refuse a text without quotes that begins or ends with a character that no editor shows."""
        ends = (0, len(text) - 1)
        at = next((at for at in ends if find_invisible(text[at]) is not None), None)
        if at is None:
            return False
        bare = "".join(each for each in text if find_invisible(each) is None)
        side, line, column = (
            ("before", *node.mark[:2]) if at == 0 else ("after", node.mark[2], node.mark[3] - 1)
        )
        node.broken = True
        message = f"{describe_character(text[at])} stands {side} `{_shorten(bare)}`, and no editor shows it"
        span = Span(self.source.name, line, column, line, column + 1)
        help_ = "remove it, and indent with plain spaces" if at == 0 else "remove it"
        self.problems.append(Problem("error", "text.character", message, span, help_))
        return True

    def read_sequence(self, event: Any, depth: int) -> Node:
        children: list[Node] = []
        while not isinstance(following := self.next(), yaml.SequenceEndEvent):
            children.append(self.read_value(following, depth + 1))
        mark = _mark_collection(event, following, children)
        return Node(self.source.name, mark, [child.data for child in children], children)

    def read_mapping(self, event: Any, depth: int) -> Node:
        children: dict[str, Node] = {}
        holes: list[str] = []
        while not isinstance(following := self.next(), yaml.MappingEndEvent):
            self.read_entry(following, children, holes, depth)
        mark = _mark_collection(event, following, list(children.values()))
        data = {key: child.data for key, child in children.items()}
        node = Node(self.source.name, mark, data, children)
        node.holes = tuple(holes)
        return node

    def read_entry(self, event: Any, children: dict[str, Node], holes: list[str], depth: int) -> None:
        key = self.read_value(event, depth + 1)
        if (
            key.broken
            and isinstance(event, yaml.ScalarEvent)
            and not event.style
            and _is_indented_invisibly(event)
        ):
            raise _StopError  # the lines below belong elsewhere than YAML takes them to
        reported = len(self.problems)
        value = self.read_value(self.next(), depth + 1)
        if isinstance(event, yaml.ScalarEvent) and event.value == MERGE and not event.style:
            del self.problems[reported:]  # the alias of a merge key is part of the same mistake
            help_ = "write the keys out, or use named rules"
            self.refuse(key, "yaml.merge", "merge keys are not taken", help_)
        elif key.broken:
            pass
        elif not isinstance(key.data, str):
            self.refuse(key, "yaml.key", "a key must be text", _suggest_quoted_key(event))
        elif key.data in children:
            first = children[key.data].key_span
            place = f"line {first.line}, column {first.column}"
            message = f"`{_shorten(key.data)}` stands here twice: first at {place}"
            self.refuse(key, "yaml.duplicate-key", message, "remove one of them, or join their contents")
        else:
            value.key_mark = key.mark
            children[key.data] = value
            return
        name = event.value if isinstance(event, yaml.ScalarEvent) else ""
        holes.append(
            name if name.isascii() else "".join(each for each in name if find_invisible(each) is None)
        )

    def read_alias(self, event: Any) -> Node:
        node = Node(self.source.name, _mark(event, event), None)
        self.refuse(
            node,
            "yaml.alias",
            f"aliases (`*{event.anchor}`) are not taken",
            "write the value out, or use named rules",
        )
        return node

    def read_properties(self, event: Any, node: Node) -> None:
        where = Span(self.source.name, *_mark(event, event))
        if event.anchor is not None:
            message = f"anchors (`&{event.anchor}`) are not taken"
            self.problems.append(
                Problem("error", "yaml.anchor", message, where, "remove it; named rules serve instead")
            )
        if event.tag is not None:
            node.broken = True
            help_ = "remove it; write text in quotes, and numbers, true and false without"
            self.problems.append(
                Problem("error", "yaml.tag", f"tags (`{event.tag}`) are not taken", where, help_)
            )

    def refuse(self, node: Node, code: str, message: str, help_: str) -> None:
        node.broken = True
        self.problems.append(Problem("error", code, message, node.span, help_))

    def find_span(self, event: Any) -> Span:
        return Span(self.source.name, *_mark(event, event))

    def stop(self, span: Span, code: str, message: str, help_: str) -> None:
        self.problems.append(Problem("error", code, message, span, help_))
        raise _StopError


def _is_indented_invisibly(event: Any) -> bool:
    """Return whether a key begins with a character that looks like indentation and is none."""
    return find_invisible(event.value[:1]) is not None


def _mark(first: Any, last: Any) -> Mark:
    start, end = first.start_mark, last.end_mark
    return start.line + 1, start.column + 1, end.line + 1, end.column + 1


def _mark_collection(start: Any, end: Any, children: Sequence[Node]) -> Mark:
    # For libyaml a block collection ends where the next token begins; for a reader where its last item ends.
    if start.flow_style or not children:
        return _mark(start, end)
    begin = start.start_mark
    return begin.line + 1, begin.column + 1, *children[-1].mark[2:]


def _suggest_quoted_key(event: Any) -> str:
    if isinstance(event, yaml.ScalarEvent):
        return f'write it in quotes: "{event.value}"' if event.value else "write a key before the `:`"
    return "text that begins with `{` or `[` needs quotes"


def _shorten(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
