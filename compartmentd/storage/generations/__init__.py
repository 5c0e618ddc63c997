"""The configurations that were in force, kept in `server.state`, and the way back to one of them."""

from __future__ import annotations

from compartmentd.storage.generations.access import KeptFiles, path_in
from compartmentd.storage.generations.locate import state_directory
from compartmentd.storage.generations.store import Damaged, Entry, GenerationStore

__all__ = ["Damaged", "Entry", "GenerationStore", "KeptFiles", "path_in", "state_directory"]
