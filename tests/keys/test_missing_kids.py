"""Names of keys that nobody has: remembered for a while, within bounds."""

from __future__ import annotations

import pytest

from compartmentd.keys.missing_kids import MISLEADING_FOR, MISSING_FOR, REMEMBERED, Unknown

NOW = 5000.0


def looked_for(unknown: Unknown, *kids: str | None, brought: tuple[str, ...] = ()) -> None:
    for kid in kids:
        unknown.want(kid)
    unknown.began()
    unknown.succeeded(NOW, brought)


@pytest.mark.parametrize(
    ("kid", "brought", "remembered"),
    [
        ("invented", ("a",), MISSING_FOR),
        (None, ("a",), MISLEADING_FOR),
        ("a", ("a",), MISLEADING_FOR),
    ],
)
def test_what_a_fetch_did_not_bring_is_missing_for_a_while(
    kid: str | None, brought: tuple[str, ...], remembered: float
) -> None:
    unknown = Unknown()
    looked_for(unknown, kid, brought=brought)
    assert unknown.missing(kid, NOW + remembered - 0.1)
    assert not unknown.missing(kid, NOW + remembered)
    assert not unknown.missing("other", NOW)


def test_a_fetch_on_its_way_proves_nothing_of_what_is_asked_for_meanwhile() -> None:
    unknown = Unknown()
    unknown.began()
    unknown.want("late")
    unknown.succeeded(NOW, ("a",))
    assert not unknown.missing("late", NOW)
    unknown.began()
    unknown.succeeded(NOW, ("a",))
    assert unknown.missing("late", NOW)


def test_a_fetch_that_failed_proves_nothing() -> None:
    unknown = Unknown()
    unknown.want("kid")
    unknown.began()
    unknown.failed()
    unknown.began()
    unknown.succeeded(NOW, ())
    assert not unknown.missing("kid", NOW)


def test_a_flood_of_names_is_bounded_and_the_latest_used_stay() -> None:
    unknown = Unknown()
    looked_for(unknown, "asked again and again")
    for number in range(3 * REMEMBERED):
        looked_for(unknown, f"invented {number}")
        assert unknown.missing("asked again and again", NOW)
    assert len(unknown) == REMEMBERED


def test_what_is_wanted_is_bounded_too() -> None:
    unknown = Unknown()
    for number in range(3 * REMEMBERED):
        unknown.want(f"invented {number}")
    assert len(unknown) == REMEMBERED
    unknown.began()
    unknown.succeeded(NOW, ())
    assert unknown.missing(f"invented {3 * REMEMBERED - 1}", NOW)
    assert not unknown.missing("invented 0", NOW)
