"""Validates event payloads against a JSON Schema (draft 2020-12) with `jsonschema-rs`, in bounded time.

What the library's defaults would do is switched off: patterns take linear time, nothing is fetched, and formats are
annotations. Data is refused, too, where two readers could understand it in two ways: an object that names a member
twice, a number beyond a double, half a surrogate pair.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import jsonschema_rs
import msgspec

from compartmentd.configuration.payloads.budget import NANOSECONDS, Budget
from compartmentd.configuration.payloads.choices import are_rewritable, rewrite
from compartmentd.configuration.payloads.cost import evaluate
from compartmentd.configuration.payloads.describe import describe_error
from compartmentd.configuration.payloads.parts import make_root_part
from compartmentd.util.strict_json import JsonError, decode, names_a_member_twice

_encode = msgspec.json.encode


class PayloadVerdict(Enum):
    """What became of a payload. `TOO_COSTLY` was not validated, since it could have taken too long."""

    VALID = "valid"
    INVALID = "invalid"
    TOO_COSTLY = "too_costly"


class PayloadValidator:
    """Validates against one schema; holds nothing of what it has seen, so one serves all connections.

    Args:
        schema: a schema that `configuration.compiler.payload_schemas` accepts.

    Raises:
        IntricateError: the schema is too intricate to bound the time that it takes.
        InPlaceCycleError: it applies itself to the same value.
        UnresolvedError: a reference leads to nothing in the schema.
        ValueError: the library does not take it.
    """

    __slots__ = ("_budget", "_is_valid", "_iter_errors")

    def __init__(self, schema: Any) -> None:
        root = make_root_part(schema)
        self._budget = Budget(*evaluate(root))
        validator = build_validator(rewrite(root, choices=are_rewritable(root)))
        self._is_valid, self._iter_errors = validator.is_valid, validator.iter_errors

    @property
    def values(self) -> int:
        """How many values data may hold so that it is surely validated, if its numbers are of ordinary size."""
        return int(NANOSECONDS / self._budget.plain.value)

    def validate(self, data: bytes) -> PayloadVerdict:
        """Return whether the JSON text of a payload, whose depth has been checked, fits the schema."""
        try:
            value = decode(data, depth_checked=True)
        except (JsonError, UnicodeDecodeError):
            return PayloadVerdict.INVALID
        # A text that is as it would be written again drops no member.
        if _encode(value) != data and names_a_member_twice(data):
            return PayloadVerdict.INVALID
        if not self._budget.covers(data, value):
            return PayloadVerdict.TOO_COSTLY
        return PayloadVerdict.VALID if self._is_valid(value) else PayloadVerdict.INVALID

    def explain(self, data: bytes) -> str:
        """Return what of a payload does not fit the schema, and where; for development, since it shows values."""
        verdict = self.validate(data)
        if verdict is PayloadVerdict.TOO_COSTLY:
            return (
                f"the data holds too many values to be validated in time; {self.values} are surely few enough"
            )
        try:
            value = decode(data, depth_checked=True)
        except (JsonError, UnicodeDecodeError) as refused:
            return f"the data is not taken as JSON: {refused}"
        if _encode(value) != data and names_a_member_twice(data):
            return "an object of the data names a member twice"
        error = next(iter(self._iter_errors(value)), None)
        return "the data fits" if error is None else describe_error(error)


def build_validator(schema: Any) -> jsonschema_rs.Draft202012Validator:
    """Return the library's validator.

    Raises:
        ValueError: the schema does not have the form of one, or a pattern or a reference cannot be used.
    """
    try:
        return jsonschema_rs.Draft202012Validator(
            schema,
            validate_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(),
            offline=True,
        )
    except jsonschema_rs.ReferencingError as error:
        raise ValueError(str(error)) from None
