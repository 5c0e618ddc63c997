"""Errors of the schema validator as problems that a person understands; one mistake gives one problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jsonschema.exceptions import ValidationError

from compartmentd.document.explain_keys import STRUCTURE, of_name, of_structure
from compartmentd.document.explain_values import ORDER, of_value
from compartmentd.document.fault import Fault
from compartmentd.document.node import Node
from compartmentd.problems import Problem


def explain(node: Node, path: Sequence[str | int], errors: Iterable[ValidationError]) -> list[Problem]:
    """Return the problems of one value, and mark as broken what must not be looked at again."""
    name = _called(path)
    about_keys: list[Problem] = []
    faults: list[Fault] = []
    for error in errors:
        if "propertyNames" in error.absolute_schema_path:
            about_keys += of_name(node, error)
        else:
            faults.append(Fault(node, name, str(error.validator), error.validator_value, error.schema))  # type: ignore[arg-type]  # no schema of ours is `false`
    values = sorted(
        (f for f in faults if f.keyword not in STRUCTURE), key=lambda fault: ORDER.index(fault.keyword)
    )
    if values:
        node.broken = True
        return [of_value(values[0])]
    return [*about_keys, *of_structure(node, faults)]


def _called(path: Sequence[str | int]) -> str:
    if not path:
        return "the file"
    return f"`{path[-1]}`" if isinstance(path[-1], str) else f"item {path[-1] + 1}"
