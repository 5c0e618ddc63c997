"""Reads the payload schemas of events: JSON Schema 2020-12 that can validate a client's data safely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError

from compartmentd.configuration.compiler.files_used import FilesUsed, describe_os_error, resolve_path
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.payloads.budget import IntricateError
from compartmentd.configuration.payloads.cost import InPlaceCycleError
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
from compartmentd.document.node import Node
from compartmentd.util.regex import find_pattern_error
from compartmentd.util.strict_json import NotJson, NotStrict, read_value

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_DEPTH = 64
_FEW_VALUES = 500
"""What any schema should be able to validate: as many values as 10 KiB of usual data hold."""


_SIMPLER = (
    "tell the branches of `anyOf` and `oneOf` apart by `type`, or by a required property with a `const` of its own "
    "in each"
)


class _UnusableError(Exception):
    """The reason why a file cannot be used as a payload schema, and what to do about it."""

    def __init__(self, message: str, help_: str = "") -> None:
        super().__init__(message)
        self.help = help_


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
            self.report.error(node.span, "schema-file.invalid", f"schema `{path}`: {error}", error.help)
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
        raise _UnusableError(
            f"`{keyword}: {error.reference}` is not in the file, and nothing is fetched"
        ) from None
    except InPlaceCycleError as error:
        raise _UnusableError(
            f"`{_join_path(error.pointer)}` applies a schema to the same value without end"
        ) from None
    except IntricateError:
        raise _UnusableError("it is too intricate to bound the time that it takes", _SIMPLER) from None
    except ValueError as error:
        raise _UnusableError(f"it cannot be used: {str(error).splitlines()[0][:160]}") from None


def _read(raw: bytes) -> Any:
    try:
        return read_value(raw, _MAX_DEPTH)
    except NotJson as error:
        raise _UnusableError(f"not JSON: {error.detail[:1].lower()}{error.detail[1:160]}") from None
    except NotStrict as error:
        raise _UnusableError(f"it {error}") from None


def _check_form(schema: Any, pointer: Pointer) -> None:
    try:
        # Without formats: the library would try patterns with Python's `re`, which is not what will match.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        where = _join_path((*pointer, *error.absolute_path)) or "the top"
        raise _UnusableError(f"`{where}` does not have the form that JSON Schema gives it") from None


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
        raise _UnusableError(f"`$schema` must be {_DIALECT}")
    for pattern in (schema.get("pattern"), *schema.get("patternProperties", ())):
        if pattern is None:
            continue
        if (wrong := find_pattern_error(pattern)) is not None:
            raise _UnusableError(f"`{pattern}` is not an RE2 pattern: {wrong}")
        try:
            build_validator({"pattern": pattern})
        except ValueError:
            raise _UnusableError(
                f"`{_join_path(part.pointer)}`: `{pattern}` is not a pattern of Rust's `regex`, which will match it"
            ) from None


def _join_path(pointer: Pointer) -> str:
    return "/".join(map(str, pointer))
