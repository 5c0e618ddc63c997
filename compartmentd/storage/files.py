"""Files and environment variables, as the compiler reads them."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from compartmentd.document.source import MAX_BYTES


class Disk:
    """The files of this machine and the environment variables of this process."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, of a large one at most one more than is allowed; raises `OSError`."""
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)

    def is_open_to_others(self, path: str) -> bool:
        """Return whether users besides the owner and the group may read a file, or any but the owner write it."""
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            return False
        return bool(mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP))

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files that match; `*` never matches a leading dot, and `**` means the same as `*`."""
        return [path for path in glob.glob(pattern) if Path(path).is_file()]  # noqa: PTH207 - keeps the path as written

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable."""
        return os.environb.get(name.encode())
