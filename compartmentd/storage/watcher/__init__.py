"""Watches files for changes: events of the system are hints, the content decides.

`trail` finds the directories and symlinks that lead to a path, `events` watches those directories, `content` hashes
the content of a path, `writers` finds files that are open for writing, `pace` decides when to check, and `watcher`
combines them.
"""

from compartmentd.storage.watcher.watcher import Watcher, Writing
from compartmentd.storage.watcher.writers import FileMark, was_written

__all__ = ["FileMark", "Watcher", "Writing", "was_written"]
