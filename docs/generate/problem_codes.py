"""The page of the problem codes, from their table."""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.problems import list_problem_codes
from docs.generate.markdown import code, join_page, table


def page() -> str:
    """Return the page of the codes."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    yield "# Problem codes"
    yield ""
    yield "Every problem of a configuration has a code, which `check --format json` and the"
    yield "admin API show. Codes are stable; messages may be reworded. A message names the place and what"
    yield "is wrong there, and usually what to write."
    yield ""
    rows = [[f"{code(name)}{{ #{name.replace('.', '-')} }}", *told] for name, *told in list_problem_codes()]
    yield from table(["code", "meaning", "what to do"], rows)
