"""A mutant: the source of a module with one small change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One change of a module's source."""

    module: str
    """Dotted, without `compartmentd.`."""

    function: str
    """Qualified name of the function that is changed; empty for what runs when the module is imported."""

    lines: range
    """The lines of the changed expression or statement, from 1."""

    was: str
    """The changed lines, with single spaces."""

    becomes: str
    in_body: bool
    """Whether the change is in a function's body, and not in what runs when the module is imported."""

    source: str
    key: str
    """Digest of the source."""


def squeeze(text: str) -> str:
    """Return the text with single spaces between its words."""
    return " ".join(text.split())
