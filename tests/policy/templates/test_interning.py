from __future__ import annotations

from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.policy.model import Limits, PatternParam, RoomTemplate
from compartmentd.policy.templates.interning import TemplateInterner
from tests.support.languages import templates
from tests.support.policies import template


@given(st.lists(templates(), max_size=4))
def test_a_template_stays_equal(several: list[RoomTemplate]) -> None:
    interner = TemplateInterner()
    assert [interner.intern(each) for each in several] == several


def test_equal_parts_become_one_object() -> None:
    params = {"word": "[a-z]{1,40}", "number": (0, 9), "kind": ["a", "b"]}
    declared = [
        template(f"room{i}:{{word}}:{{number}}:{{kind}}", params, limits=Limits(message_size=1000))
        for i in range(2)
    ]
    assert declared[0].limits is not declared[1].limits
    interner = TemplateInterner()
    first, second = (interner.intern(each) for each in declared)
    assert first.limits is second.limits
    words = [each.params[0] for each in (first, second)]
    assert all(isinstance(each, PatternParam) for each in words)
    assert words[0].items is words[1].items  # type: ignore[union-attr]
    other = interner.intern(structs.replace(declared[0], limits=Limits(message_size=1)))
    assert other.limits is not first.limits
