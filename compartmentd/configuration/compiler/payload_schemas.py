"""Payload schemas of events: each a JSON Schema 2020-12 that can check a client's data safely."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from compartmentd.configuration.compiler.files_used import FilesUsed, beside, reason_of
from compartmentd.configuration.compiler.report import Report
from compartmentd.document.node import Node
from compartmentd.document.scalars import LARGEST, SMALLEST
from compartmentd.util.regex import find_pattern_error

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MAX_DEPTH = 64
_MOST_DIGITS = 20


class _UnusableError(Exception):
    """Why a file is no usable payload schema."""


class PayloadSchemas:
    """Reads each schema file once; `schemas` holds them by path."""

    def __init__(self, files: FilesUsed, report: Report) -> None:
        self.files = files
        self.report = report
        self.schemas: dict[str, object] = {}
        self._refused: set[str] = set()

    def key(self, node: Node) -> str:
        """Return the key in `schemas` of the file that a `schema` names, reading it where it is new."""
        path = beside(node.file, node.data)
        if path not in self.schemas and path not in self._refused:
            self._load(path, node)
        return path

    def _load(self, path: str, node: Node) -> None:
        self.files.use("schema", path, node.span)
        try:
            self.schemas[path] = _usable(self.files.read(path))
        except OSError as error:
            self._refused.add(path)
            self.report.error(
                node.span,
                "file.missing",
                f"schema `{path}`: {reason_of(error)}",
                "paths are relative to the file that names them",
            )
        except _UnusableError as error:
            self._refused.add(path)
            self.report.error(node.span, "schema-file.invalid", f"schema `{path}`: {error}")


def _usable(raw: bytes) -> object:
    schema = _read(raw)
    if not isinstance(schema, dict | bool):
        raise _UnusableError("a schema is a JSON object")
    parts = list(_parts(schema))
    _check_form(schema)
    for part in parts:
        _check_part(part)
    _check_references(schema, parts)
    return schema


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_once, parse_int=_integer, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise _UnusableError("not UTF-8") from None
    except RecursionError:
        raise _UnusableError("nested too deeply") from None
    except ValueError as error:
        message = str(error)
        raise _UnusableError(f"not JSON: {message[:1].lower()}{message[1:160]}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _UnusableError("an object names a member twice")
    return members


def _integer(digits: str) -> int:
    # The policy travels between processes, in a format whose integers have 64 bits.
    if len(digits) > _MOST_DIGITS or not SMALLEST <= int(digits) <= LARGEST:
        raise _UnusableError("an integer does not fit in 64 bits")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise _UnusableError(f"`{name}` is not JSON")


def _check_form(schema: Any) -> None:
    try:
        # Without formats: the library would try patterns with Python's `re`, which is not what will match.
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(formats=()))
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "the top"
        raise _UnusableError(f"`{where}` does not have the form that JSON Schema gives it") from None


def _parts(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    if depth > _MAX_DEPTH:
        raise _UnusableError(f"nested more than {_MAX_DEPTH} deep")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise _UnusableError("a text holds half a surrogate pair")
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part, depth + 1)


def _check_part(part: dict[str, Any]) -> None:
    dialect = part.get("$schema", _DIALECT)
    if isinstance(dialect, str) and dialect.rstrip("#") != _DIALECT:
        raise _UnusableError(f"`$schema` must be {_DIALECT}")
    patterns = part.get("patternProperties", {})
    for pattern in (part.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
        if isinstance(pattern, str) and (wrong := find_pattern_error(pattern)) is not None:
            raise _UnusableError(f"`{pattern}` is not an RE2 pattern: {wrong}")


def _check_references(schema: Any, parts: Iterable[dict[str, Any]]) -> None:
    """Look every reference up, so that none fails, or reaches out, while a client waits."""
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for part in parts:
        for keyword in ("$ref", "$dynamicRef"):
            reference = part.get(keyword)
            if isinstance(reference, str):
                try:
                    resolver.lookup(reference)
                except Unresolvable:
                    raise _UnusableError(
                        f"`{keyword}: {reference}` is not in the file, and nothing is fetched"
                    ) from None
