"""Reads where a claim is: a string is the name of a top-level claim, and a list is a path."""

from __future__ import annotations

from compartmentd.document.node import Node
from compartmentd.policy.claim_path import ClaimPath


def read_claim_path(node: Node) -> ClaimPath:
    """Return the path that a node has, in which nothing is replaced."""
    return tuple(str(item.data) for item in node.items or [node])
