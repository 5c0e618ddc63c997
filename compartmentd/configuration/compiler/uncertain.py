"""Suppresses "missing …" problems that are probably a consequence of a problem already reported.

Examples are a misspelt key and an include that cannot be read.
"""

from __future__ import annotations

from compartmentd.document.bundled import schema
from compartmentd.document.explain_unknown import guess_key
from compartmentd.document.node import Node


def may_contain(node: Node, key: str, definition: str | None = None) -> bool:
    """Return whether a mapping may have been meant to contain a key that could not be read.

    This is so if the value is broken, the key was refused, or an unknown key of the mapping is nearest to it.

    Args:
        node: The mapping.
        key: One of its known keys.
        definition: The mapping's definition under `$defs`; `None` for a whole configuration.
    """
    if node.has_refused(key):
        return True
    child = node.fields.get(key)
    if child is not None:
        return child.broken
    whole = schema()
    known = (whole if definition is None else whole["$defs"][definition])["properties"]
    unknown = (name for name, other in node.fields.items() if other.broken and name not in known)
    return any(guess_key(definition or "top", list(known), name) == key for name in unknown)
