"""Where the parts of the compiler put their problems, so that one run finds them all."""

from __future__ import annotations

from collections.abc import Iterable

from compartmentd.document.nearest import nearest
from compartmentd.problems import Problem, Span

_MOST_NAMED = 20
"""Names listed in a help: more would hide it."""


class Report:
    """The problems found so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def error(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Note what forbids the use of the configuration."""
        self.problems.append(Problem("error", code, message, span, help_))

    def warning(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Note what is allowed and probably not meant."""
        self.problems.append(Problem("warning", code, message, span, help_))

    def note(self, span: Span, code: str, message: str, help_: str = "") -> None:
        """Note what is good to know."""
        self.problems.append(Problem("note", code, message, span, help_))

    def unknown(self, span: Span, what: str, name: str, known: Iterable[str]) -> None:
        """Note a reference to something that is not there, with the nearest thing that is."""
        names = list(known)
        near = nearest(name, names)
        if near is not None:
            help_ = f"did you mean `{near}`?"
        elif names:
            help_ = f"known are {', '.join(f'`{each}`' for each in sorted(names)[:_MOST_NAMED])}"
        else:
            help_ = "none is declared"
        self.error(span, f"{what}.unknown", f"no {what} `{name}`", help_)
