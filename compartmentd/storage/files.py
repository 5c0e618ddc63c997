"""The disk and the environment, as the compiler reads them."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from compartmentd.document.source import MAX_BYTES


class Disk:
    """Files of this machine, and variables of this process."""

    def read(self, path: str) -> bytes:
        """Return the bytes of a file, and one more than is ever allowed of a larger one; raises `OSError`."""
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files that match; `*` never matches a leading dot, and `**` is no more than `*`."""
        return [path for path in glob.glob(pattern) if Path(path).is_file()]  # noqa: PTH207 - keeps the path as written

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable."""
        return os.environb.get(name.encode())
