"""The trail of a path: all names on the way from the root to its content whose change can change the content.

In Kubernetes, `/etc/app/config.yaml` is a symlink to `..data/config.yaml`, and `..data` a symlink to a
directory with a date in its name; an update swaps `..data` and changes nothing else. So a path is resolved
component by component, as the kernel does (path_resolution(7)), and the directory of each symlink is part of
the trail.
"""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

MOST_LINKS = 40
"""Symlinks followed before a path counts as a loop: the kernel's own limit (path_resolution(7))."""


class Trail(NamedTuple):
    """`places` are all names on the way, absolute; `directories` are the existing directories to watch."""

    places: frozenset[str]
    directories: frozenset[str]


class Links:
    """Reads symlinks, each once: the files of a configuration share most of their trail."""

    def __init__(self) -> None:
        self._targets: dict[str, str | None] = {}

    def read_target(self, path: str) -> str | None:
        """Return the target of a symlink; `None` for anything else, and if nothing is there."""
        if path not in self._targets:
            try:
                self._targets[path] = os.readlink(path)
            except (OSError, ValueError):  # ValueError: a name that the system cannot have
                self._targets[path] = None
        return self._targets[path]


def follow_path(path: str, links: Links) -> Trail:
    """Return the trail of a path, whether or not it exists.

    The directories to watch are those of the file and of each symlink on the way, and their parents, since a
    directory that is removed and created again is another directory.
    """
    places, crossings = _walk(path, links)
    wanted = {_find_existing(directory) for directory in crossings}
    wanted |= {_find_existing(os.path.dirname(directory)) for directory in crossings}
    return Trail(frozenset(places), frozenset(wanted))


def find_last_change(path: str, links: Links) -> float:
    """Return the latest time at which the content can have changed: wall time in seconds.

    That is the latest inode change time of the file and the symlinks on the way, which no program can set back; if
    there is no file, that of the nearest directory.
    """
    places, _ = _walk(path, links)
    marks = [place for place in places if links.read_target(place) is not None]
    end = places[-1] if places else "/"
    marks.append(end if os.path.exists(end) else _find_existing(os.path.dirname(end)))
    return max(map(_read_change_time, marks))


def find_search_base(pattern: str) -> str:
    """Return the directory that contains all matches of a glob: the part before the first wildcard."""
    directory = os.path.dirname(pattern)
    while glob.has_magic(directory):
        directory = os.path.dirname(directory)
    return directory


def _walk(path: str, links: Links) -> tuple[list[str], set[str]]:
    """Return the places in order, and the directories of the symlinks and of the end."""
    places: list[str] = []
    crossings: set[str] = set()
    directory, followed = "/", 0
    ahead = os.path.join(os.getcwd(), path).split("/")[::-1]
    while ahead:
        name = ahead.pop()
        if name in {"", "."}:
            continue
        if name == "..":  # the parent of the directory that was reached, not of the text
            directory = os.path.dirname(directory)
            continue
        place = os.path.join(directory, name)
        places.append(place)
        target = links.read_target(place)
        if target is None:
            directory = place
            continue
        crossings.add(directory)
        followed += 1
        if followed > MOST_LINKS:
            break
        directory = "/" if target.startswith("/") else directory
        ahead += target.split("/")[::-1]
    crossings.add(os.path.dirname(directory))
    return places, crossings


def _find_existing(directory: str) -> str:
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def _read_change_time(path: str) -> float:
    try:
        return os.lstat(path).st_ctime
    except OSError:  # removed since: as late as possible
        return float("inf")
