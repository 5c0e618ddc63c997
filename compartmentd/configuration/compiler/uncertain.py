"""What cannot be said to be missing, since a mistake that is already told may have been meant for it."""

from __future__ import annotations

from compartmentd.document.bundled import schema
from compartmentd.document.nearest import nearest
from compartmentd.document.node import Node


def may_hold(node: Node, key: str, definition: str | None = None) -> bool:
    """Tell whether a mapping was perhaps meant to hold something under the key that could not be read.

    So it is where the value is broken, the key was refused, or a key that is not known here is nearest to it.

    Args:
        node: the mapping.
        key: one of its known keys.
        definition: what the mapping is, by its name under `$defs`; `None` for a whole configuration.
    """
    if node.refused(key):
        return True
    child = node.fields.get(key)
    if child is not None:
        return child.broken
    whole = schema()
    known = (whole if definition is None else whole["$defs"][definition])["properties"]
    unknown = (name for name, other in node.fields.items() if other.broken and name not in known)
    return any(nearest(name, known) == key for name in unknown)
