"""Collects the names of a configuration that others refer to: rules, templates, issuers, from all of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from compartmentd.language.outline import KeyPath, OutlinePart, Range
from compartmentd.policy.model import IntegerParam, OneOfParam, Param, PatternParam, Text
from compartmentd.policy.rules.placeholders import list_parameters, parse_text
from compartmentd.policy.templates.automaton import Automaton
from compartmentd.policy.templates.overlap import find_example, find_shared_room
from compartmentd.policy.templates.pattern import PatternProblem, build_default_param, parse_pattern
from compartmentd.problems import span_of_file


class Location(NamedTuple):
    """A range of a file."""

    file: str
    range: Range


class Declared(NamedTuple):
    """A name that is declared: the file, and the part that stands under the name."""

    name: str
    file: str
    part: OutlinePart

    @property
    def location(self) -> Location:
        """The position of the name."""
        return Location(self.file, self.part.key_range)


class Names:
    """The declared names of the files of one configuration, by what they name.

    `texts` are the files by path, as the editor has them, and `outlines` what was read of them.
    """

    def __init__(self, texts: Mapping[str, str], outlines: Mapping[str, OutlinePart]) -> None:
        self.lines = {file: text.split("\n") for file, text in texts.items()}
        self.outlines = outlines
        self.rules = list(self._find_all("rules"))
        self.issuers = list(self._find_all("issuers"))
        self.namespaces = list(self._find_all("namespaces"))

    def _find_all(self, section: str) -> Iterator[Declared]:
        for file, root in self.outlines.items():
            part = root.get(section)
            yield from (Declared(str(child.key), file, child) for child in _list_entries(part))

    def find_rule(self, name: str) -> Declared | None:
        """Return the named rule."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def find_issuer(self, name: str) -> Declared | None:
        """Return the issuer entry of this name."""
        return next((entry for entry in self.issuers if entry.name == name), None)

    def list_templates(self, namespace: str) -> list[Declared]:
        """Return the room templates of a namespace."""
        return [
            Declared(str(child.key), file, child)
            for name, file, part in self.namespaces
            if name == namespace
            for child in _list_entries(part.get("rooms"))
        ]

    def find_reached(
        self, namespace: str, room: str, template: OutlinePart | None, among: Sequence[Location] | None = None
    ) -> list[Declared]:
        """Return the templates that a room may be of.

        Args:
            namespace: Where the room and the templates are.
            room: Its name; placeholders in it are parameters of `template`.
            template: The template whose rule names the room, if there is one.
            among: The positions of the templates that count, or `None` for all.
        """
        text = parse_text(room)
        if isinstance(text, PatternProblem):
            return []
        start = Automaton(text, _read_params(text, template))
        return [
            target
            for target in self.list_templates(namespace)
            if (among is None or target.location in among) and _may_be_of(text, start, target.part)
        ]


def _list_entries(part: OutlinePart | None) -> list[OutlinePart]:
    return [] if part is None else [child for child in part.children if child.key is not None and child.colon]


# --- templates ------------------------------------------------------------------------------------------------


def find_template(part: OutlinePart) -> tuple[str, OutlinePart] | None:
    """Return the namespace and the template inside of which a part stands, if it does."""
    above: list[OutlinePart] = []
    at: OutlinePart | None = part
    while at is not None:
        above.append(at)
        at = at.parent
    steps = above[::-1]  # from the root: namespaces, its name, rooms, the template
    if len(steps) < 5 or steps[1].key != "namespaces" or steps[3].key != "rooms":
        return None
    return str(steps[2].key), steps[4]


def find_namespace(path: KeyPath) -> str | None:
    """Return the name of the namespace in which a path leads."""
    return str(path[1]) if len(path) > 1 and path[0] == "namespaces" else None


def list_template_params(template: OutlinePart) -> tuple[str, ...]:
    """Return the names of a template's parameters; of a name that is still being typed those that can be read."""
    text = parse_text(str(template.key))
    return () if isinstance(text, PatternProblem) else list_parameters(text)


def describe_param(template: OutlinePart, name: str) -> str:
    """Return the form of a parameter, as it is written."""
    form = template.at("params", name)
    if form is None or not form.children:
        return "pattern `[A-Za-z0-9_.@|-]{1,128}` (the default)"
    kind = form.children[0]
    if kind.kind == "scalar":
        return f"{kind.key} `{kind.text}`"
    inner = (f"{child.key}: {child.text}" if child.key else child.text for child in kind.children)
    return f"{kind.key} `{', '.join(inner)}`"


def find_example_room(template: OutlinePart) -> str | None:
    """Return a room that a template declares, or `None` if its parameters cannot be read or there is none."""
    text = parse_text(str(template.key))
    return None if isinstance(text, PatternProblem) else find_example(text, _read_params(text, template))


def _may_be_of(room: Text, automaton: Automaton, template: OutlinePart) -> bool:
    text = parse_text(str(template.key))
    if isinstance(text, PatternProblem):
        return False
    first, second = room[0], text[0]
    if not (first.startswith(second) or second.startswith(first)):  # literals rule most templates out
        return False
    return find_shared_room(automaton, Automaton(text, _read_params(text, template))) is not None


def _read_params(text: Text, template: OutlinePart | None) -> dict[str, Param]:
    declared = None if template is None else template.get("params")
    return {name: _read_param(name, None if declared is None else declared.get(name)) for name in text[1::2]}


def _read_param(name: str, form: OutlinePart | None) -> Param:
    """Return a parameter; one whose form cannot be read has the default form."""
    span = span_of_file("")
    for kind in () if form is None else form.children:
        if kind.key == "pattern" and not isinstance(items := parse_pattern(kind.text), PatternProblem):
            return PatternParam(name=name, items=items, span=span)
        if kind.key == "one_of" and (values := tuple(item.text for item in kind.children if item.text)):
            return OneOfParam(name=name, values=values, span=span)
        if kind.key == "integer":
            low, high = (_read_integer(kind.get(key)) for key in ("min", "max"))
            return IntegerParam(name=name, low=low or 0, high=high, span=span)
    return build_default_param(name, span)


def _read_integer(part: OutlinePart | None) -> int | None:
    text = "" if part is None else part.text
    return (
        int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) <= 17 else None
    )
