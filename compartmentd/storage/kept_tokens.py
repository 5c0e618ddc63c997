"""The hashes of admin tokens that a development daemon leaves to the next one, in a file beside the admin socket.

So a page that is open stays signed in while its user restarts `serve --dev`. Nothing else reads or writes the file:
without `--dev` no printed token outlives its daemon.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

_Ends = dict[str, float]


class KeptTokens:
    """The file beside the admin socket at `socket_path`."""

    def __init__(self, socket_path: str) -> None:
        self._path = Path(f"{socket_path}.tokens")

    def read(self) -> Mapping[str, float]:
        """Return the ends (wall time, seconds) of tokens by their SHA-256 in hexadecimal.

        Empty if there is no file, or one that is not ours alone: who writes a hash into it is an administrator.
        """
        try:
            with os.fdopen(os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                    return {}
                ends = msgspec.json.decode(file.read(_LARGEST), type=_Ends)
        except (
            OSError,
            msgspec.MsgspecError,
            UnicodeDecodeError,
        ):  # no file, or not one of ours: the page asks for a token
            return {}
        return {name: end for name, end in ends.items() if _is_hash(name)}

    def write(self, ends: Mapping[str, float]) -> None:
        """Replace the file; without one, which a full disk may cause, the page asks for a token after a restart."""
        written = self._path.with_name(f"{self._path.name}.new")
        try:
            written.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(written, flags, 0o600), "wb") as file:
                file.write(msgspec.json.encode(ends))
            written.replace(self._path)
        except OSError:
            with suppress(OSError):
                written.unlink(missing_ok=True)


_LARGEST = 1 << 16


def _is_hash(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")
