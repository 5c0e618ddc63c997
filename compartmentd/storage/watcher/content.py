"""The content of a path, as a value that is equal only for equal content; absence is a content, too."""

from __future__ import annotations

import errno
import hashlib
import os
import stat

ABSENT = b"absent"
"""The content of a path that does not exist."""


def hash_content(path: str) -> bytes:
    """Return the SHA-256 of the file at a path, or a word for why it has no content.

    Times, owner and mode are not part of the content; whether the file can be read is.
    """
    try:
        # Without O_NONBLOCK, a pipe in place of the file would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _describe_absence(error)
    except ValueError:  # a name that the system cannot have, with a NUL in it
        return ABSENT
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b"not a file"
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        return _describe_absence(error)
    finally:
        os.close(descriptor)


def _describe_absence(error: OSError) -> bytes:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return ABSENT
    return errno.errorcode.get(error.errno or 0, "unreadable").encode()
