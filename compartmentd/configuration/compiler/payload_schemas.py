"""Reads the payload schemas of events: JSON Schema 2020-12 that can validate a client's data safely."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from compartmentd.configuration.compiler.files_used import FilesUsed, describe_os_error, resolve_path
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.payloads.budget import IntricateError
from compartmentd.configuration.payloads.cost import InPlaceCycleError
from compartmentd.configuration.payloads.explain import explain_schema_error
from compartmentd.configuration.payloads.parts import (
    REFERENCES,
    Part,
    Pointer,
    Schema,
    UnresolvedError,
    make_root_part,
    resolve_target,
    walk,
)
from compartmentd.configuration.payloads.validator import PayloadValidator, build_validator
from compartmentd.document.json_positions import find_json_position
from compartmentd.document.node import Node
from compartmentd.problems import Span
from compartmentd.util.regex import find_pattern_error
from compartmentd.util.strict_json import NotJson, NotStrict, read_value

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_DEPTH = 64
_JSON_PLACE = re.compile(r": line (\d+) column (\d+) \(char \d+\)$")
_FEW_VALUES = 500
"""What any schema should be able to validate: as many values as 10 KiB of usual data hold."""


_SIMPLER = (
    "tell the branches of `anyOf` and `oneOf` apart by `type`, or by a required property with a `const` of its own "
    "in each"
)


class _UnusableError(Exception):
    """The reason why a file cannot be used as a payload schema, where, and what to do about it.

    The place is a `pointer` to a value of the file, or a line and column (`at`) of a text that is no JSON.
    """

    def __init__(
        self, message: str, help_: str = "", pointer: Pointer = (), at: tuple[int, int] | None = None
    ) -> None:
        super().__init__(message)
        self.help = help_
        self.pointer = pointer
        self.at = at


class PayloadSchemas:
    """Reads each schema file once; `schemas` holds them by path."""

    def __init__(self, files: FilesUsed, report: Report) -> None:
        self.files = files
        self.report = report
        self.schemas: dict[str, object] = {}
        self._refused: set[str] = set()

    def key(self, node: Node) -> str:
        """Return the key in `schemas` of the file that a `schema` names; read the file if it is new."""
        path = resolve_path(node.file, node.data)
        if path not in self.schemas and path not in self._refused:
            self._load(path, node)
        return path

    def _load(self, path: str, node: Node) -> None:
        self.files.record_use("schema", path, node.span)
        try:
            self.schemas[path], validator = _build_usable(self.files.read(path))
        except OSError as error:
            self._refused.add(path)
            self.report.error(
                node.span,
                "file.unreadable",
                f"schema `{path}`: {describe_os_error(error)}",
                "paths are relative to the file that names them",
            )
        except _UnusableError as error:
            self._refused.add(path)
            line, column = error.at or find_json_position(self.files.read(path).decode(), error.pointer)
            used = f"`{node.data}` is named at {node.span}"
            joint = " " if error.help.endswith("?") else "; "
            help_ = f"{error.help}{joint}{used}" if error.help else used
            span = Span(path, line, column, line, column + 1)
            self.report.error(
                span, "schema-file.invalid", f"this payload schema cannot be used: {error}", help_
            )
        else:
            if validator.values < _FEW_VALUES:
                self.report.warning(
                    node.span,
                    "schema-file.costly",
                    f"schema `{path}`: data of more than {validator.values} values may be refused, since "
                    "validating it could take too long",
                    _SIMPLER,
                )


def _build_usable(raw: bytes) -> tuple[Schema, PayloadValidator]:
    schema = _read(raw)
    if not isinstance(schema, dict | bool):
        raise _UnusableError("a schema is a JSON object")
    _check_form(schema, ())
    root = make_root_part(schema)
    try:
        _check_parts(root)
        return schema, PayloadValidator(schema)
    except UnresolvedError as error:
        keyword = error.pointer[-1]
        message = f"`{keyword}: {error.reference}` is not in the file, and nothing is fetched"
        raise _UnusableError(message, "put it under `$defs`", error.pointer) from None
    except InPlaceCycleError as error:
        raise _UnusableError(
            f"`{_join_path(error.pointer)}` applies a schema to the same value without end",
            pointer=error.pointer,
        ) from None
    except IntricateError:
        raise _UnusableError("it is too intricate to bound the time that it takes", _SIMPLER) from None
    except ValueError as error:
        raise _UnusableError(f"it cannot be used: {str(error).splitlines()[0][:160]}") from None


def _read(raw: bytes) -> Any:
    try:
        return read_value(raw, _MAX_DEPTH)
    except NotJson as error:
        detail, found = error.detail, _JSON_PLACE.search(error.detail)
        at = (1, 1) if found is None else (int(found[1]), int(found[2]))
        told = detail if found is None else detail[: found.start()]
        raise _UnusableError(f"not JSON: {told[:1].lower()}{told[1:160]}", at=at) from None
    except NotStrict as error:
        raise _UnusableError(f"it {error}", at=(1, 1)) from None


def _check_form(schema: Any, pointer: Pointer) -> None:
    try:
        # Without formats: the library would try patterns with Python's `re`, which is not what will match.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        path = (*pointer, *error.absolute_path)
        told, help_ = explain_schema_error(_join_path(path) or "the top", error)
        raise _UnusableError(told, help_, path) from None


def _check_parts(root: Part) -> None:
    """Check every subschema, including targets of references outside the keywords that hold schemas."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        entry = waiting.pop()
        if id(entry.schema) in seen:
            continue
        if entry is not root:
            _check_form(entry.schema, entry.pointer)
        for part in walk(entry):
            seen.add(id(part.schema))
            if isinstance(part.schema, Mapping):
                _check_part(part, part.schema)
                waiting += (resolve_target(part, keyword) for keyword in REFERENCES if keyword in part.schema)


def _check_part(part: Part, schema: Mapping[str, Any]) -> None:
    if schema.get("$schema", _DIALECT).rstrip("#") != _DIALECT:
        raise _UnusableError(f"`$schema` must be {_DIALECT}", pointer=(*part.pointer, "$schema"))
    places: list[tuple[Any, Pointer]] = [(schema.get("pattern"), ("pattern",))]
    places += [(each, ("patternProperties", each)) for each in schema.get("patternProperties", ())]
    for pattern, place in places:
        if pattern is None:
            continue
        where = (*part.pointer, *place)
        if (wrong := find_pattern_error(pattern)) is not None:
            raise _UnusableError(f"`{pattern}` is not an RE2 pattern: {wrong}", pointer=where)
        try:
            build_validator({"pattern": pattern})
        except ValueError:
            raise _UnusableError(
                f"`{_join_path(part.pointer)}`: `{pattern}` is no pattern of Rust's `regex`, which will match it",
                pointer=where,
            ) from None


def _join_path(pointer: Pointer) -> str:
    return "/".join(map(str, pointer))
