"""What `serve --dev` adds to the admin listeners: the playground's view of the configuration, and minting."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compartmentd.control.reload import Reloader
from compartmentd.control.requests import Record
from compartmentd.http.admin.outline import outline
from compartmentd.keys.development import mint_for
from compartmentd.sessions.hub import Hub


class DaemonDevelopment:
    """Implements `http.admin.interface.Development`: what `serve --dev` adds."""

    def __init__(self, path: str, hub: Hub, reloader: Reloader, public_url: str) -> None:
        self._path = path
        self._hub = hub
        self._reloader = reloader
        self.public_url = public_url

    def playground(self) -> Record:
        """Return what the page shows of the configuration in force."""
        return outline(self._hub.snapshot.configuration, self._path, self.public_url)

    def mint(self, entry: str | None, claims: Mapping[str, Any]) -> Record:
        """Return a token with these claims.

        Raises:
            UsageError: there is no such entry, or its key is not a development key.
        """
        issuers = self._hub.snapshot.configuration.issuers
        now = time.time()
        return mint_for(issuers, entry, claims, now)

    def excerpt(self, file: str, line: int, end_line: int) -> Sequence[str] | None:
        """Return lines of a file of the configuration; a file that was changed since may show others."""
        if file not in (self._path, *self._reloader.in_force.files):
            return None
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        return text.splitlines()[line - 1 : end_line]
