"""Problems of a configuration, each with a code of one table."""

from __future__ import annotations

from compartmentd.problems.codes import PROBLEM_CODES, Explanation, list_problem_codes
from compartmentd.problems.problem import (
    Problem,
    Severity,
    Span,
    has_errors,
    show_lines,
    sort_problems,
    span_of_file,
)

__all__ = [
    "PROBLEM_CODES",
    "Explanation",
    "Problem",
    "Severity",
    "Span",
    "has_errors",
    "list_problem_codes",
    "show_lines",
    "sort_problems",
    "span_of_file",
]
