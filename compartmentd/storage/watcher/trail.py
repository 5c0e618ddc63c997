"""The way from the root to what a path holds: every name on it whose change can change the content.

`/etc/app/config.yaml` in Kubernetes is a symlink to `..data/config.yaml`, and `..data` one to a directory
with a date in its name; an update swaps `..data` and touches nothing else. So a path is followed component by
component, as the kernel does it (path_resolution(7)), and each link's own directory is part of the way.
"""

from __future__ import annotations

import glob
import os
from typing import NamedTuple

MOST_LINKS = 40
"""Symlinks followed before a path counts as a circle; the kernel's own limit (path_resolution(7))."""


class Trail(NamedTuple):
    """`places` are all names on the way, absolute; `directories` those worth watching, which exist."""

    places: frozenset[str]
    directories: frozenset[str]


class Links:
    """Reads symlinks, each once: the files of a configuration share most of their way."""

    def __init__(self) -> None:
        self._targets: dict[str, str | None] = {}

    def read_target(self, path: str) -> str | None:
        """Return what a symlink holds; `None` for everything else, and for what is not there."""
        if path not in self._targets:
            try:
                self._targets[path] = os.readlink(path)
            except (OSError, ValueError):  # ValueError: a name that the system cannot have
                self._targets[path] = None
        return self._targets[path]


def follow_path(path: str, links: Links) -> Trail:
    """Return the trail of a path, whether or not anything is there.

    Worth watching are the directory of the file, of each symlink on the way, and those that hold these
    directories, since one that is removed and made again is another directory.
    """
    places, crossings = _walk(path, links)
    wanted = {_find_existing(directory) for directory in crossings}
    wanted |= {_find_existing(os.path.dirname(directory)) for directory in crossings}
    return Trail(frozenset(places), frozenset(wanted))


def find_last_change(path: str, links: Links) -> float:
    """Return when the content last became what it is, at the latest: seconds of wall time.

    The inode change time of the file and of each symlink on the way, which no program can set back; where
    nothing is there, that of the nearest directory.
    """
    places, _ = _walk(path, links)
    marks = [place for place in places if links.read_target(place) is not None]
    end = places[-1] if places else "/"
    marks.append(end if os.path.exists(end) else _find_existing(os.path.dirname(end)))
    return max(map(_read_change_time, marks))


def find_search_base(pattern: str) -> str:
    """Return the directory in which the matches of a glob begin: all of it before the first wildcard."""
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
        if name == "..":  # of the directory that was really reached, not of the text
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
    except OSError:  # gone since: as late as can be
        return float("inf")
