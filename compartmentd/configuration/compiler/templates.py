"""Reads room templates and their parameters, and finds templates that match the same rooms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from compartmentd.configuration.compiler.implausible import doubt_room
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document.node import Node
from compartmentd.policy.model import IntegerParam, OneOfParam, Param, PatternParam, RoomTemplate, Text
from compartmentd.policy.rules.placeholders import list_parameters, parse_text
from compartmentd.policy.templates.charset import is_valid_room_name
from compartmentd.policy.templates.integers import LARGEST
from compartmentd.policy.templates.overlap import find_conflicts, find_example, find_template_ambiguity
from compartmentd.policy.templates.pattern import PatternProblem, build_default_param, parse_pattern

_SURELY_FITS = 64
"""Characters of at most 4 bytes: a room name has room for so many, whichever they are."""


class ParsedTemplate(NamedTuple):
    """The parsed name of a template.

    `named` says that the names of its parameters are known; `sound` that their forms are known too, so that it
    can be compared with others. A parameter of unknown form gets the default form.
    """

    pattern: Text
    params: tuple[Param, ...]
    named: bool = True
    sound: bool = True


class TemplateReader:
    """Reads the names and parameters of templates, and compares templates."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def shape(self, name: str, node: Node) -> ParsedTemplate:
        """Return the shape that a name and `params` describe."""
        unknown = ParsedTemplate((name,), (), named=False, sound=False)
        pattern = parse_text(name)
        if isinstance(pattern, PatternProblem):
            self.report.error(node.key_span, "template.name", pattern.message, pattern.help)
            return unknown
        names = list_parameters(pattern)
        if len(set(names)) < len(names):
            twice = next(each for each in names if names.count(each) > 1)
            message = f"parameter `{twice}` stands in the name twice"
            help_ = "give each its own name, and compare them in a rule"
            self.report.error(node.key_span, "template.twice", message, help_)
            return unknown
        declared = self._read_declared(node, names)
        read = [self._read_param(each, declared.get(each), node) for each in names]
        params = tuple(
            param or build_default_param(each, node.key_span) for param, each in zip(read, names, strict=True)
        )
        doubt = doubt_room(name, pattern[::2])
        if doubt is not None:
            self.report.warning(node.key_span, "template.wildcard", doubt.message, doubt.help)
        known = None not in read and not may_contain(node, "params", "room")
        shape = ParsedTemplate(pattern, params, sound=known)
        return shape._replace(sound=known and self._is_possible(shape, node))

    def compare(self, templates: Sequence[RoomTemplate]) -> None:
        """Report templates that share a room, or that read one room in two ways."""
        for template in templates:
            room = find_template_ambiguity(template)
            if room is not None:
                message = f"`{template.name}` reads room `{room}` in two ways"
                self.report.error(
                    template.span,
                    "template.ambiguous",
                    message,
                    "put a literal between the parameters that none of them can hold",
                )
        for first, second, room in find_conflicts(templates):
            message = f"`{second.name}` and `{first.name}` (line {first.span.line}) share room `{room}`"
            self.report.error(
                second.span,
                "template.overlap",
                message,
                "tell them apart by a literal, or by the forms of their parameters",
            )

    def _read_declared(self, node: Node, names: Sequence[str]) -> Mapping[str, Node]:
        params = node.get("params")
        for name, child in params.fields.items() if params else ():
            if name not in names and not child.broken:
                self.report.unknown(child.key_span, "parameter", name, names)
        return {} if params is None else params.fields

    def _read_param(self, name: str, node: Node | None, template: Node) -> Param | None:
        if node is None:
            return build_default_param(name, template.key_span)
        if node.broken:
            return None
        for key, read in self._forms.items():
            if key in node.fields:
                form = node.get(key)
                return None if form is None else read(self, name, form)
        return build_default_param(name, node.key_span)

    def _read_pattern(self, name: str, node: Node) -> Param | None:
        items = parse_pattern(node.data)
        if isinstance(items, PatternProblem):
            message = f"{items.message} (character {items.offset + 1} of the pattern)"
            self.report.error(node.span, "template.pattern", message, items.help)
            return None
        return PatternParam(name=name, items=items, span=node.span)

    def _read_integer(self, name: str, node: Node) -> Param | None:
        low, high = node.get("min"), node.get("max")
        if any(child.broken for child in node.fields.values()):
            return None
        least = 0 if low is None else low.data
        most = None if high is None else high.data
        if least > (LARGEST if most is None else most):
            where = (high or node).span
            self.report.error(where, "template.range", f"`max` {most} is less than `min` {least}", "")
            return None
        return IntegerParam(name=name, low=least, high=most, span=node.span)

    def _read_one_of(self, name: str, node: Node) -> Param | None:
        if isinstance(node.children, list) and any(item.broken for item in node.children):
            return None
        for item in node.items:
            if not is_valid_room_name(item.data):
                self.report.error(
                    item.span,
                    "template.value",
                    "no room name can hold this value",
                    "it has at most 256 bytes, without control characters",
                )
                return None
        return OneOfParam(name=name, values=tuple(item.data for item in node.items), span=node.span)

    _forms: Mapping[str, Callable[[TemplateReader, str, Node], Param | None]] = {
        "pattern": _read_pattern,
        "integer": _read_integer,
        "one_of": _read_one_of,
    }

    def _is_possible(self, shape: ParsedTemplate, node: Node) -> bool:
        """Report a template that no room name can have the form of."""
        literals = "".join(shape.pattern[::2])
        possible = literals == "" or is_valid_room_name(literals)
        if possible and len(literals) + sum(map(_compute_least_length, shape.params)) > _SURELY_FITS:
            possible = find_example(shape.pattern, {param.name: param for param in shape.params}) is not None
        if not possible:
            help_ = "a room name has at most 256 bytes of UTF-8, without control characters"
            self.report.error(node.key_span, "template.impossible", "no room can have this name", help_)
        return possible


def _compute_least_length(param: Param) -> int:
    """Return how many characters a value has at least."""
    match param:
        case PatternParam():
            return sum(item.least for item in param.items)
        case OneOfParam():
            return min(len(value) for value in param.values)
    return 1
