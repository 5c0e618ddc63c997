"""Checks `member_of`: each must name rooms of a declared template, and none may lead back to itself."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.requirements import NamedRules, Need
from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.rules.placeholders import format_text, list_parameters, parse_text
from compartmentd.policy.templates.overlap import find_reached_templates
from compartmentd.policy.templates.pattern import PatternProblem
from compartmentd.problems import Span


class Memberships:
    """The templates of a namespace as a graph; an edge leads from a template to each that its `join` rule names.

    `doubtful` are the names of templates that could not be read.
    """

    def __init__(
        self, templates: Sequence[RoomTemplate], doubtful: Sequence[str], named: NamedRules, report: Report
    ) -> None:
        self.templates = templates
        self.doubtful = doubtful
        self.named = named
        self.report = report
        self._edges: dict[str, list[tuple[RoomTemplate, Span]]] = {}

    def check(self) -> None:
        """Report each `member_of` without a matching template, and each cycle."""
        near = None
        for template in self.templates:
            for need in dict.fromkeys(self.named.needs(template.join)):
                if need.kind == "member_of" and _can_be_filled(need, template):
                    near = near or _ByPrefix(self.templates)
                    self._follow(template, need, near)
        self._find_circles()

    def _follow(self, template: RoomTemplate, need: Need, near: _ByPrefix) -> None:
        params = {param.name: param for param in template.params}
        found = find_reached_templates(need.text, params, near.find_candidates(need.text[0]))
        self._edges.setdefault(template.name, []).extend((target, need.span) for target in found)
        if not found and not self._may_be_doubtful(need.text[0]):
            message = f"no template has a room like `{format_text(need.text)}`"
            self.report.error(
                need.span, "member-of.unknown", message, "`member_of` names a room of the same namespace"
            )

    def _may_be_doubtful(self, prefix: str) -> bool:
        # A template with a mistake of its own may have been meant.
        literals = [_get_first_literal(name) for name in self.doubtful]
        return any(prefix.startswith(literal) or literal.startswith(prefix) for literal in literals)

    def _find_circles(self) -> None:
        done: set[str] = set()
        for name in self._edges:
            if name not in done:
                self._visit(name, done)

    def _visit(self, start: str, done: set[str]) -> None:
        # Depth-first without recursion: a chain of rooms may be longer than Python's stack.
        trail = {start: iter(self._edges[start])}
        while trail:
            name, targets = next(reversed(trail.items()))
            step = next(targets, None)
            if step is None:
                trail.popitem()
                done.add(name)
                continue
            target, span = step
            if target.name in trail:
                names = list(trail)
                circle = " → ".join([*names[names.index(target.name) :], target.name])
                help_ = "a room cannot ask, in the end, for itself"
                self.report.error(span, "member-of.cycle", f"nobody could be the first: {circle}", help_)
            elif target.name not in done:
                trail[target.name] = iter(self._edges.get(target.name, ()))


class _ByPrefix:
    """An index of templates by their first literal, so that each `member_of` need not be compared with all."""

    def __init__(self, templates: Sequence[RoomTemplate]) -> None:
        self._sorted = sorted(templates, key=lambda template: template.pattern[0])
        self._literals = [template.pattern[0] for template in self._sorted]
        self._by_literal: dict[str, list[RoomTemplate]] = {}
        for template in templates:
            self._by_literal.setdefault(template.pattern[0], []).append(template)

    def find_candidates(self, prefix: str) -> Iterator[RoomTemplate]:
        """Yield the templates whose first literal is a prefix of the given one, or the other way round."""
        for end in range(len(prefix)):
            yield from self._by_literal.get(prefix[:end], ())
        for index in range(bisect_left(self._literals, prefix), len(self._literals)):
            if not self._literals[index].startswith(prefix):
                return
            yield self._sorted[index]


def _get_first_literal(name: str) -> str:
    pattern = parse_text(name)
    return name.partition("{")[0] if isinstance(pattern, PatternProblem) else pattern[0]


def _can_be_filled(need: Need, template: RoomTemplate) -> bool:
    names = {param.name for param in template.params}
    return not need.negated and names.issuperset(list_parameters(need.text))
