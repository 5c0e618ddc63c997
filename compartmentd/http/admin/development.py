"""The resources that `serve --dev` adds: the playground's view of the configuration, and minting of tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compartmentd.control.reload import Reloader
from compartmentd.control.requests import JsonObject
from compartmentd.http.admin.outline import build_outline
from compartmentd.keys.development import mint_for_entry

_SHOWN = frozenset({"include", "schema"})
"""Kinds of files that the playground quotes, beside the main file."""


class DaemonDevelopment:
    """Implements `http.admin.interface.Development` for the configuration in force."""

    def __init__(self, path: str, reloader: Reloader, public_url: str) -> None:
        self._path = path
        self._reloader = reloader
        self.public_url = public_url

    def describe_playground(self) -> JsonObject:
        """Return the configuration in force as the page shows it."""
        generation = self._reloader.generation
        return build_outline(generation.configuration, generation.snapshot.rules, self._path, self.public_url)

    def mint(self, entry: str | None, claims: Mapping[str, Any]) -> JsonObject:
        """Return a token with these claims.

        Raises:
            UsageError: there is no such entry, or its key is not a development key.
        """
        issuers = self._reloader.generation.configuration.issuers
        now = time.time()
        return mint_for_entry(issuers, entry, claims, now)

    def read_excerpt(self, file: str, line: int, end_line: int) -> Sequence[str] | None:
        """Return lines of a file of the configuration; if it has changed since, they may be others."""
        uses = self._reloader.generation.configuration.files
        # Never a file of another kind: a secret that was missing at first is named among the files, too.
        if file not in {self._path, *(use.path for use in uses if use.kind in _SHOWN)}:
            return None
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return text.splitlines()[line - 1 : end_line]
