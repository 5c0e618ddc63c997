"""The mutants of a module: each is its source with one small change.

mutmut's operators make most of them: numbers, names, comparisons, arguments, assignments, cases. Four of our own
change what mutmut leaves alone, and what decisions are made of: a condition is forced to be true and to be false, a
value is not returned, an exception is not raised, and a call for its effect is left out. mutmut's own runner is not
used: it mutates neither decorated functions nor tables, and takes some 0.3 s of CPU a mutant where ours takes 0.1.

Prose is not mutated: a text with a space in it is for people. Neither are annotations, imports, decorators and the
options of classes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from itertools import accumulate

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators

from tests.mutants.mutant import Mutant, squeeze

_SKIPPED = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.FormattedStringText)

_NOT_CALLED_OTHERWISE = m.Call(
    func=m.Name("len") | m.Name("isinstance") | m.Name("assert_never") | m.Name("TypeVar")
)
"""Calls whose arguments are not mutated: with any other they raise, or nothing depends on them."""


def _is_prose(node: cst.CSTNode) -> bool:
    return any(
        " " in text.value
        for text in m.findall(node, m.SimpleString() | m.FormattedStringText())
        if isinstance(text, cst.SimpleString | cst.FormattedStringText)
    ) and isinstance(node, cst.SimpleString | cst.FormattedString | cst.ConcatenatedString)


def _force(test: cst.BaseExpression, *, both: bool = True) -> Iterator[cst.BaseExpression]:
    whole = test if test.lpar else test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield cst.BooleanOperation(whole, cst.And(), cst.Name("False"))
    if both:
        yield cst.BooleanOperation(whole, cst.Or(), cst.Name("True"))


def _mutate_by_mutmut(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for kind, operator in mutators.mutation_operators:
        if not isinstance(node, kind):
            continue
        made: Iterable[cst.CSTNode] = operator(node)
        if operator is mutators.operator_string:
            made = [] if _is_prose(node) else list(made)[:1]
        for mutated in made:
            if operator is mutators.operator_arg_removal and not _is_worthwhile(node, mutated):
                continue
            yield mutated


def _is_worthwhile(call: cst.CSTNode, mutated: cst.CSTNode) -> bool:
    """Return whether a changed argument is no prose, and one that is left out shifts no others."""
    if not isinstance(call, cst.Call) or not isinstance(mutated, cst.Call):
        return True
    kept = {id(argument) for argument in mutated.args}
    [lost] = [argument for argument in call.args if id(argument) not in kept]
    if _is_prose(lost.value):
        return False
    return len(mutated.args) == len(call.args) or lost.keyword is not None or lost is call.args[-1]


def mutate_node(node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Yield pairs: a node, which is this one or its condition, and what takes its place."""
    for mutated in _mutate_by_mutmut(node):
        yield node, mutated
    match node:
        case cst.If(test=test) | cst.CompIf(test=test) | cst.MatchCase(guard=cst.BaseExpression() as test):
            for forced in _force(test):
                yield test, forced
        case cst.While(test=test):  # forced to be true it would never end
            for forced in _force(test, both=False):
                yield test, forced
        case cst.Return(value=cst.BaseExpression() as value) if not m.matches(
            value, m.Name("None") | m.Name("True") | m.Name("False")
        ):
            yield value, cst.Name("None")
        case cst.Raise() | cst.Expr(value=cst.Call() | cst.Await()):
            yield node, cst.Pass()


class _Visitor(cst.CSTVisitor):
    """Collects what takes the place of each node, with the node's function and lines."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[cst.CSTNode, cst.CSTNode, str, range, bool]] = []
        self._names: list[str] = []
        self._bodies = 0
        self._lines = [range(1, 2)]

    def on_visit(self, node: cst.CSTNode) -> bool:
        position = self.get_metadata(PositionProvider, node, None)
        here = range(position.start.line, position.end.line + 1) if position else self._lines[-1]
        self._lines.append(here)
        if self._is_skipped(node):
            return False
        for original, mutated in mutate_node(node):
            place = self.get_metadata(PositionProvider, original, None)
            lines = range(place.start.line, place.end.line + 1) if place else here
            self.found.append((original, mutated, ".".join(self._names), lines, self._bodies > 0))
        if isinstance(node, cst.FunctionDef):
            self._visit_function(node)
            return False
        if isinstance(node, cst.ClassDef):
            self._names.append(node.name.value)
            node.body.visit(self)
            self._names.pop()
            return False
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:  # noqa: ARG002 - libcst's signature
        self._lines.pop()

    def _visit_function(self, node: cst.FunctionDef) -> None:
        self._names.append(node.name.value)
        node.params.visit(self)  # defaults are evaluated once, with the module
        self._bodies += 1
        node.body.visit(self)
        self._bodies -= 1
        self._names.pop()

    @staticmethod
    def _is_skipped(node: cst.CSTNode) -> bool:
        if isinstance(node, cst.AnnAssign) and m.matches(node.annotation.annotation, m.Name("TypeAlias")):
            return True
        docstring = m.matches(node, m.Expr(value=m.SimpleString() | m.ConcatenatedString()))
        return isinstance(node, _SKIPPED) or docstring or m.matches(node, _NOT_CALLED_OTHERWISE)


def _find_change(old: list[str], new: list[str]) -> tuple[str, str]:
    """Return the lines that differ, before and after."""
    first = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return "\n".join(old[first : len(old) - last]), "\n".join(new[first : len(new) - last])


def generate(module: str, source: str) -> list[Mutant]:
    """Return the mutants of a module, in the order of its lines, each another program than all others."""
    tree = MetadataWrapper(cst.parse_module(source)).module
    wrapper = MetadataWrapper(tree, unsafe_skip_copy=True)
    visitor = _Visitor()
    wrapper.visit(visitor)
    pieces = [tree.code_for_node(statement) for statement in tree.body]
    header = "".join(map(tree.code_for_node, tree.header))
    starts = list(accumulate(map(len, pieces), initial=len(header)))
    homes = {id(node): i for i, top in enumerate(tree.body) for node in _walk(top)}
    programs = {ast.dump(ast.parse(source))}
    mutants = []
    old = source.splitlines()
    for original, mutated, function, lines, in_body in visitor.found:
        home = homes.get(id(original))
        if home is None:
            continue
        statement = tree.body[home].deep_replace(original, mutated)
        if not isinstance(statement, cst.CSTNode):
            continue
        end = starts[home] + len(pieces[home])
        changed = source[: starts[home]] + tree.code_for_node(statement) + source[end:]
        try:
            program = ast.dump(ast.parse(changed))
        except SyntaxError:  # such as an argument without its keyword behind one that has it
            continue
        if program in programs:
            continue
        programs.add(program)
        was, becomes = _find_change(old, changed.splitlines())
        mutants.append(
            Mutant(
                module=module,
                function=function,
                lines=lines,
                was=squeeze(was),
                becomes=squeeze(becomes),
                in_body=in_body,
                source=changed,
                key=hashlib.sha256(changed.encode()).hexdigest()[:16],
            )
        )
    return mutants


def _walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.children)
