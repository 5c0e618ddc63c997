"""Small templates and their languages by enumeration: the naive twin of the automata.

The alphabet is four characters and counts are small, so all strings of a template can be written down, each with
every way in which it can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import strategies as st

from compartmentd.policy.model import CharClass, IntegerParam, OneOfParam, Param, RoomTemplate
from tests.support.policies import template

_CLASSES = ["a", "b", "1", ":", "[ab]", "[a1]", "[b:]", "[ab1:]"]
_COUNTS = ["", "", "?", "{2}", "{0,2}", "{1,2}"]

patterns = st.lists(
    st.tuples(st.sampled_from(_CLASSES), st.sampled_from(_COUNTS)).map("".join), min_size=1, max_size=2
).map("".join)
"""Patterns of finite languages."""

forms: st.SearchStrategy[Any] = st.one_of(
    patterns,
    st.lists(
        st.sampled_from(["", "a", "b", "ab", "a:", "1", "11", ":"]), min_size=1, max_size=3, unique=True
    ),
    st.tuples(st.integers(-2, 12), st.integers(-1, 12)),
)
"""Forms of a parameter, as `tests.support.policies.param` takes them."""

literals = st.sampled_from(["", "", "a", "b", ":", "1", "a:", ":a", "ab", "-"])


@st.composite
def templates(draw: st.DrawFn, most_params: int = 2) -> RoomTemplate:
    """Draw a template with up to `most_params` parameters."""
    count = draw(st.integers(0, most_params))
    name, params = draw(literals), {}
    for index in range(count):
        params[f"p{index}"] = draw(forms)
        name += f"{{p{index}}}{draw(literals)}"
    return template(name or "lone", params)


def readings(each: RoomTemplate) -> dict[str, set[tuple[str, ...]]]:
    """Return every room of the template with every way to read it; the empty string is no room."""
    params = {param.name: param for param in each.params}
    found: dict[str, set[tuple[str, ...]]] = {}
    for values in product(*(list(_values(params[name])) for name in each.pattern[1::2])):
        parts = list(each.pattern)
        parts[1::2] = values
        if room := "".join(parts):
            found.setdefault(room, set()).add(values)
    return found


def _values(param: Param) -> Iterator[str]:
    if isinstance(param, OneOfParam):
        yield from param.values
    elif isinstance(param, IntegerParam):
        assert param.high is not None
        yield from (str(number) for number in range(param.low, param.high + 1))
    else:
        yield from {"".join(parts) for parts in product(*map(_repeated, param.items))}


def _repeated(item: CharClass) -> list[str]:
    assert item.most is not None
    characters = [chr(code) for low, high in item.ranges for code in range(low, high + 1)]
    return [
        "".join(parts)
        for times in range(item.least, item.most + 1)
        for parts in product(characters, repeat=times)
    ]
