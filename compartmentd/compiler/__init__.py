"""Checked documents to a frozen policy: every reference, place and overlap, each problem once."""

from __future__ import annotations

from compartmentd.compiler.access import FileAccess
from compartmentd.compiler.load import Loaded, load

__all__ = ["FileAccess", "Loaded", "load"]
