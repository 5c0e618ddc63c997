"""Stores the configurations that were in force, in `server.state`, and restores one of them."""

from __future__ import annotations

from compartmentd.storage.generations.access import KeptFiles, join_kept_path
from compartmentd.storage.generations.locate import find_state_directory
from compartmentd.storage.generations.store import DamagedGeneration, GenerationStore, StoredGeneration

__all__ = [
    "DamagedGeneration",
    "GenerationStore",
    "KeptFiles",
    "StoredGeneration",
    "find_state_directory",
    "join_kept_path",
]
