"""Loads the JSON Schemas that are part of the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

CONFIGURATION = "compartmentd.schema.json"
"""The grammar, for the checker."""

EDITOR = "editor.schema.json"
"""The same for editors, as `make reference` writes it."""

EDITOR_INCLUDED = "editor-included.schema.json"
"""The same of a file that `include` names."""


@cache
def load_schema_text(name: str = CONFIGURATION) -> str:
    """Return the text of a schema: of the installed package, or of the checkout's `schemas/`."""
    package = files("compartmentd")
    inside = package / "schemas" / name
    # In a checkout the schemas stand at the top of the tree; a wheel carries them inside the package.
    found = inside if inside.is_file() else package / ".." / "schemas" / name
    return found.read_text(encoding="utf-8")


@cache
def schema(name: str = CONFIGURATION) -> dict[str, Any]:
    """Return a schema as data."""
    return msgspec.json.decode(load_schema_text(name), type=dict[str, Any])
