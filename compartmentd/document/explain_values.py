"""Explains values of a wrong type or form, and shows the right form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compartmentd.document import units
from compartmentd.document.fault import Fault, describe_kind, join_kinds, quote_value
from compartmentd.document.nearest import find_nearest
from compartmentd.document.node import Node
from compartmentd.document.spell import spell_scalar, unquote
from compartmentd.document.suggest import (
    suggest_address,
    suggest_event_in_list,
    suggest_origin,
    suggest_rule,
    suggest_value,
)
from compartmentd.problems import Problem
from compartmentd.util.regex import compile_pattern


def explain_value(fault: Fault) -> Problem:
    """Return the problem of a value that does not have the right type or form."""
    if "x-not-built" in fault.schema:
        return _explain_not_built(fault)
    if "x-refused" in fault.schema:
        return Problem(
            "error", "schema.not-here", fault.schema["x-refused"], fault.node.key_span, "remove it here"
        )
    if fault.node.data is None:
        return _explain_empty(fault)
    if "x-unit" in fault.schema:
        return _explain_quantity(fault)
    return _EXPLAIN[fault.keyword](fault)


def _explain_not_built(fault: Fault) -> Problem:
    told = (
        fault.node.data
        if isinstance(fault.wanted, Mapping) and "const" in fault.wanted
        else fault.name.strip("`")
    )
    message = f"`{told}` is not built yet, so it cannot be used"
    return Problem("error", "schema.not-built", message, fault.node.key_span, "leave it out until it is")


def _explain_empty(fault: Fault) -> Problem:
    message = f"{fault.name} is empty"
    return Problem(
        "error", "schema.empty", message, fault.node.key_span, f"{_describe_wanted(fault)}, or leave it out"
    )


def _describe_wanted(fault: Fault) -> str:
    if "x-unit" in fault.schema:
        return units.describe_form(fault.schema["x-unit"], unlimited=fault.schema["x-unlimited"])
    if "x-form" in fault.schema:
        return f"write {fault.schema['x-form']['write']}"
    if fault.keyword != "type":
        return "write a value"
    mapping = "object" in fault.wanted if isinstance(fault.wanted, list) else fault.wanted == "object"
    return (suggest_value(fault) if mapping else "") or f"write {join_kinds(fault.wanted)}"


def _explain_quantity(fault: Fault) -> Problem:
    unit: units.Unit = fault.schema["x-unit"]
    article = {"size": "a size", "duration": "a duration", "rate": "a rate", "count": "a count"}[unit]
    meant = units.suggest_quantity(fault.node.data, unit)
    help_ = units.describe_form(unit, unlimited=fault.schema["x-unlimited"])
    if meant is not None:
        help_ = f"did you mean `{meant}`? {help_}"
    return _build_problem(fault, f"schema.{unit}", f"{quote_value(fault.node.data)} is not {article}", help_)


def _explain_type(fault: Fault) -> Problem:
    if "x-form" in fault.schema:
        return _explain_form(fault)
    message = f"{fault.name} must be {join_kinds(fault.wanted)}, not {describe_kind(fault.node.data)}"
    return _build_problem(fault, "schema.type", message, suggest_value(fault))


def _explain_enum(fault: Fault) -> Problem:
    if "x-form" in fault.schema:
        return _explain_form(fault)
    known = ", ".join(f"`{word}`" for word in fault.wanted)
    return _build_problem(
        fault,
        "schema.value",
        f"{quote_value(fault.node.data)} is not one of {known}",
        _suggest_nearest(fault),
    )


def _explain_form(fault: Fault) -> Problem:
    told = fault.schema["x-form"]
    # A secret may stand where its location is expected, so no message repeats the value.
    message = f"{fault.name if told.get('secret') else quote_value(fault.node.data)} is not {told['what']}"
    if not told.get("secret") and (meant := _suggest_form(fault, told["what"])):
        return _build_problem(fault, "schema.form", message, meant)
    help_ = _suggest_quotes(fault) or f"write {told['write']}"
    return _build_problem(
        fault, "schema.form", message, " ".join(filter(None, (_suggest_nearest(fault), help_)))
    )


def _suggest_form(fault: Fault, what: str) -> str:
    """Return the help for a text of which it is clear what was meant; else it is empty."""
    data, pattern = fault.node.data, fault.schema.get("pattern", "")
    if isinstance(data, dict) and data and what == "a name of an event":
        return suggest_event_in_list(data)
    if isinstance(data, dict | list) and what != "a rule":
        return ""
    if isinstance(data, str) and (bare := unquote(data)) != data:
        return f"only straight quotes are quotes in YAML, and invisible characters count: write `{bare}`"
    if what == "a rule":
        return suggest_rule(data)
    repair = {"an address": suggest_address, "an origin": suggest_origin}.get(what)
    meant = repair(data) if repair is not None and data not in ("", True, False) else ""
    return f"write `{meant}`" if meant and compile_pattern(pattern).search(meant) else ""


def _suggest_quotes(fault: Fault) -> str:
    """Return the help for a number or boolean that has the right form if it is quoted."""
    data, pattern = fault.node.data, fault.schema.get("pattern", "")
    only_type = fault.keyword == "type" and fault.wanted == "string" and isinstance(data, int | float)
    fits = only_type and compile_pattern(pattern).search(spell_scalar(data))
    return f'write it in quotes: "{spell_scalar(data)}"' if fits else ""


def _suggest_nearest(fault: Fault) -> str:
    if fault.keyword != "enum" or not isinstance(fault.node.data, str):
        return ""
    near = find_nearest(fault.node.data, fault.wanted)
    return "" if near is None else f"did you mean `{near}`?"


def _explain_const(fault: Fault) -> Problem:
    return _build_problem(
        fault,
        "schema.value",
        f"{fault.name} must be {quote_value(fault.wanted)}",
        f"write {fault.name.strip('`')}: {spell_scalar(fault.wanted)}",
    )


def _bound(fault: Fault) -> Problem:
    side = "at least" if fault.keyword == "minimum" else "at most"
    return _build_problem(fault, "schema.range", f"{fault.name} must be {side} {fault.wanted}", "")


def _explain_too_short(fault: Fault) -> Problem:
    if fault.keyword == "minItems":
        return _build_problem(
            fault, "schema.empty", f"{fault.name} is an empty list", "write at least one item"
        )
    return _build_problem(fault, "schema.empty", f"{fault.name} is empty", "write at least one character")


def _explain_too_long(fault: Fault) -> Problem:
    return _build_problem(fault, "schema.range", f"{fault.name} is longer than {fault.wanted} characters", "")


def _explain_repeated(fault: Fault) -> Problem:
    item = find_repeated(fault.node) or fault.node
    message = f"{quote_value(item.data)} stands in the list twice"
    return Problem("error", "schema.twice", message, item.span, "remove one of them")


def find_repeated(node: Node) -> Node | None:
    """Return the first repeated item of a list, except items that are refused already."""
    seen: list[Any] = []
    for item in node.items:
        if item.data is not None and item.data in seen:
            return item
        seen.append(item.data)
    return None


def _build_problem(fault: Fault, code: str, message: str, help_: str) -> Problem:
    return Problem("error", code, message, fault.node.span, help_)


_EXPLAIN: Mapping[str, Callable[[Fault], Problem]] = {
    "type": _explain_type,
    "not": _explain_not_built,
    "const": _explain_const,
    "enum": _explain_enum,
    "pattern": _explain_form,
    "minLength": _explain_too_short,
    "minItems": _explain_too_short,
    "minimum": _bound,
    "maximum": _bound,
    "maxLength": _explain_too_long,
    "uniqueItems": _explain_repeated,
}
"""INVARIANT: every keyword of our schema that constrains a value is in this list (checked by a test)."""

ORDER = tuple(_EXPLAIN)
"""Of several faults of one value the first here is told: without the right type the others mean nothing."""
