"""The bytes of a configuration without their location, and the digest over them."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from compartmentd.names import Digest

Contents: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names and bytes of the main file, first, and of includes and schemas; names are relative to the main file.

Files of keys and secrets are never among them.
"""


def compute_digest(contents: Contents) -> Digest:
    """Return the SHA-256 over names and bytes.

    Each is preceded by its length, so that no two sets of files give the same input.
    """
    digest = hashlib.sha256()
    for name, raw in sorted(contents):
        for part in (name.encode("utf-8", "surrogateescape"), raw):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return Digest(digest.hexdigest())
