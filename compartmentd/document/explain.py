"""Turns errors of the schema validator into problems that a person understands, one for each mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jsonschema.exceptions import ValidationError

from compartmentd.document.explain_keys import STRUCTURE, explain_name, explain_structure
from compartmentd.document.explain_values import ORDER, explain_value, find_repeated
from compartmentd.document.fault import Fault
from compartmentd.document.node import Node
from compartmentd.problems import Problem


def explain(node: Node, path: Sequence[str | int], errors: Iterable[ValidationError]) -> list[Problem]:
    """Return the problems of one value, and mark the value as broken if later checks must skip it."""
    about_names: list[Problem] = []
    faults: list[Fault] = []
    for error in errors:
        if "propertyNames" in error.absolute_schema_path:
            about_names += explain_name(node, error)
        elif error.validator != "uniqueItems" or find_repeated(node):
            faults.append(_make_fault(node, path, error))
    values = [fault for fault in faults if fault.keyword not in STRUCTURE]
    if values:
        node.broken = True
        return [explain_value(min(values, key=lambda fault: ORDER.index(fault.keyword)))]
    return [*about_names, *explain_structure(node, faults)]


def _make_fault(node: Node, path: Sequence[str | int], error: ValidationError) -> Fault:
    if not isinstance(error.schema, Mapping):
        raise AssertionError("no schema of ours is `false`")  # noqa: TRY004 - not a wrong argument, a defect
    key = path[-1] if path and isinstance(path[-1], str) else ""
    return Fault(node, key, _name_place(path), str(error.validator), error.validator_value, error.schema)


def _name_place(path: Sequence[str | int]) -> str:
    if not path:
        return "the file"
    return f"`{path[-1]}`" if isinstance(path[-1], str) else f"item {path[-1] + 1}"
