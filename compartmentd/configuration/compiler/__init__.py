"""Checked documents to a frozen policy: every reference, place and overlap, each problem once."""

from __future__ import annotations

from compartmentd.configuration.compiler.contents import Contents, digest_of_files
from compartmentd.configuration.compiler.file_access import FileAccess
from compartmentd.configuration.compiler.load import Loaded, load

__all__ = ["Contents", "FileAccess", "Loaded", "digest_of_files", "load"]
