"""The configurations that were in force, kept in `server.state`, and the way back to one of them."""

from __future__ import annotations

from compartmentd.history.access import KeptFiles, path_in
from compartmentd.history.place import state_directory
from compartmentd.history.store import Damaged, Entry, History

__all__ = ["Damaged", "Entry", "History", "KeptFiles", "path_in", "state_directory"]
