"""Tells when files changed: events of the system are hints, what counts is the content.

`trail` knows by which directories and symlinks a path is reached, `events` watches those directories,
`content` says what a path holds, `pace` when to look, and `watcher` puts them together.
"""

from compartmentd.storage.watcher.watcher import Watcher

__all__ = ["Watcher"]
