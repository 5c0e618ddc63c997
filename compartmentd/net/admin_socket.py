"""The path of the admin socket: one rule for the daemon, which makes it, and for the commands, which look for it.

It is not in `bind.py`, so that a command need not load what binds listeners.
"""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from compartmentd.errors import UsageError
from compartmentd.util.listen_address import ListenAddress, UnixAddress

SOCKET_NAME = "admin.sock"


def find_admin_socket_path(
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


def find_temporary_directory() -> str:
    """Return the system's temporary directory, also if nothing can be written there, which shows later."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        # None is needed on a file system that is read-only throughout, with the socket elsewhere.
        return "/tmp"  # noqa: S108 - only a directory of mode 0700 is made there, whose owner is checked


def find_private_directory(path: str, uid: int) -> Path | None:
    """Return the directory of the socket if it is one that we make, `compartmentd-UID`; else `None`."""
    directory = Path(path).parent
    return directory if directory.name == f"compartmentd-{uid}" else None


def require_private(path: str, uid: int) -> None:
    """Refuse the socket if its directory, one that we make, could have been made by another user before.

    Anyone may make it in a temporary directory, and its owner could listen in our place. The directories of
    declared paths are the operator's responsibility, and a directory that does not exist yet is accepted.

    Raises:
        UsageError: the directory belongs to another user, or is open to others.
    """
    directory = find_private_directory(path, uid)
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
    """Make the directory `compartmentd-UID`, with mode 0700, if the socket's path is in it and it is missing.

    Raises:
        UsageError: as `require_private`, or the directory cannot be made.
    """
    directory = find_private_directory(path, uid)
    if directory is None:
        return
    try:
        directory.mkdir(0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the directory `{directory}`: {error.strerror}") from None
    require_private(path, uid)
