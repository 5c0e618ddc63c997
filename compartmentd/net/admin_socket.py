"""Where the admin socket lives: one rule for the daemon, which makes it, and for the commands that seek it.

Apart from `sockets.py` so that a command need not load what binds listeners.
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from compartmentd.errors import UsageError
from compartmentd.util.listen_address import ListenAddress, UnixAddress

SOCKET_NAME = "admin.sock"


def admin_socket_path(
    declared: Iterable[ListenAddress], environ: Mapping[str, str], uid: int, tempdir: str
) -> str:
    """Return the path of the admin socket, which every daemon has.

    It is the first unix socket of the `declared` admin listeners, else `$RUNTIME_DIRECTORY/admin.sock`
    (systemd.exec(5); the first of several directories), else `compartmentd-UID/admin.sock` under
    `$XDG_RUNTIME_DIR` or, without one, `tempdir`.
    """
    for address in declared:
        if isinstance(address, UnixAddress):
            return address.path
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if runtime:
        return str(Path(runtime, SOCKET_NAME))
    return str(Path(environ.get("XDG_RUNTIME_DIR") or tempdir, f"compartmentd-{uid}", SOCKET_NAME))


def temporary_directory() -> str:
    """Return the system's temporary directory, also where nobody may write to any; it is told when it is used."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        # With a file system that is read-only throughout, and the socket elsewhere, none is needed.
        return "/tmp"  # noqa: S108 - nothing is made there but a directory of mode 0700, whose owner is checked


def private_directory(path: str, uid: int) -> Path | None:
    """Return the directory of the socket if it is of our own making, `compartmentd-UID`; else `None`."""
    directory = Path(path).parent
    return directory if directory.name == f"compartmentd-{uid}" else None


def require_private(path: str, uid: int) -> None:
    """Refuse a socket in a directory of our own making that somebody else could have made before us.

    In a temporary directory anyone may; whoever owns it could listen as if they were us. The directories of
    declared paths are the operator's own affair, and one that does not exist yet is nobody's.

    Raises:
        UsageError: the directory belongs to somebody else, or is open to others.
    """
    directory = private_directory(path, uid)
    if directory is None:
        return
    try:
        found = directory.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(
            f"`{directory}` must be a directory of mode 0700 that belongs to the user with id {uid}: "
            "remove it, or name another socket in `server.admin`",
        )


def prepare_private(path: str, uid: int) -> None:
    """Make the directory of our own making, with mode 0700, where the socket lies in it and it is missing.

    Raises:
        UsageError: as `require_private`, or the directory cannot be made.
    """
    directory = private_directory(path, uid)
    if directory is None:
        return
    try:
        directory.mkdir(0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the directory `{directory}`: {error.strerror}") from None
    require_private(path, uid)
