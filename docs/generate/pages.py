"""The pages of the reference and the schemas for editors, each with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED
from docs.generate import (
    client_codes,
    commands,
    configuration,
    editor_schema,
    http,
    log_events,
    metrics,
    problem_codes,
)

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "docs/reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration.page,
    "commands.md": commands.page,
    "http.md": http.page,
    "client-codes.md": client_codes.page,
    "problem-codes.md": problem_codes.page,
    "metrics.md": metrics.page,
    "log-events.md": log_events.page,
}
"""By the name of the file below `docs/reference/`."""

SCHEMAS: Mapping[str, Callable[[], str]] = {
    EDITOR: editor_schema.page,
    EDITOR_INCLUDED: editor_schema.included_page,
}
"""By the name of the file below `schemas/`."""
