"""Recognises configurations among the YAML files that an editor opens."""

from __future__ import annotations

import posixpath

from compartmentd.language.outline import MARK, OutlinePart

NAMES = ("compartments.yaml", "compartments.yml")
"""What a main file is called unless the operator calls it otherwise."""

_SECTIONS = ("namespaces", "issuers", "rules", "include", "server", "limits")
_MODELINE = "# yaml-language-server:"


def is_main(path: str, text: str, root: OutlinePart) -> bool:
    """Return whether a file is the main file of a configuration.

    It is if it is called so, if its first line names our schema, or if it has `version: 1` and a section of ours;
    other programs have a `version: 1`, too.
    """
    first = text.partition("\n")[0]
    if first.startswith(_MODELINE) and "compartmentd" in first:
        return "included" not in first
    version = root.get("version")
    ours = (
        version is not None
        and version.text.replace(MARK, "") == "1"
        and any(root.get(section) for section in _SECTIONS)
    )
    return posixpath.basename(path) in NAMES or ours


def list_globs(root: OutlinePart) -> list[str]:
    """Return the patterns of a main file's `include`."""
    include = root.get("include")
    return [] if include is None else [item.text for item in include.children if item.text]
