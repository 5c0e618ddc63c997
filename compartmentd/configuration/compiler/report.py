"""Collects the problems of all parts of the compiler, so that one run reports them all."""

from __future__ import annotations

from collections.abc import Iterable

from compartmentd.document.nearest import find_nearest
from compartmentd.problems import Problem, Span

_MOST_NAMED = 20
"""Names listed in a help: more would hide it."""


class Report:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Report an error: the configuration cannot be used."""
        self.problems.append(Problem("error", code, message, span, help_))

    def warning(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Report a warning: something allowed but probably not intended."""
        self.problems.append(Problem("warning", code, message, span, help_))

    def note(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Report a note."""
        self.problems.append(Problem("note", code, message, span, help_))

    def unknown(self, span: Span, what: str, name: str, known: Iterable[str]) -> None:
        """Report a reference to an undeclared name, with the nearest declared one as help."""
        names = list(known)
        near = find_nearest(name, names)
        if near is not None:
            help_ = f"did you mean `{near}`?"
        elif names:
            help_ = f"known are {', '.join(f'`{each}`' for each in sorted(names)[:_MOST_NAMED])}"
        else:
            help_ = "none is declared"
        self.error(span, f"{what}.unknown", f"no {what} `{name}`", help_)
