"""Compiles checked documents to a frozen policy; resolves references, checks places and overlaps."""

from __future__ import annotations

from compartmentd.configuration.compiler.contents import Contents, compute_digest
from compartmentd.configuration.compiler.file_access import FileAccess
from compartmentd.configuration.compiler.load import Loaded, load

__all__ = ["Contents", "FileAccess", "Loaded", "compute_digest", "load"]
