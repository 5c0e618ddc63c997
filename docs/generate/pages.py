"""The pages of the reference, each with the function that makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generate import client_codes, commands, configuration, http, log_events, metrics, problem_codes

DIRECTORY = Path(__file__).parents[2] / "docs/reference"

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
