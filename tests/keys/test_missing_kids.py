"""Names of keys that nobody has: remembered for a while, within bounds."""

from __future__ import annotations

import pytest

from compartmentd.keys.missing_kids import MISLEADING_FOR, MISSING_FOR, REMEMBERED, MissingKids

NOW = 5000.0


def looked_for(unknown: MissingKids, *kids: str | None, brought: tuple[str, ...] = ()) -> None:
    for kid in kids:
        unknown.add(kid)
    unknown.note_start()
    unknown.note_success(NOW, brought)


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
    unknown = MissingKids()
    looked_for(unknown, kid, brought=brought)
    assert unknown.is_missing(kid, NOW + remembered - 0.1)
    assert not unknown.is_missing(kid, NOW + remembered)
    assert not unknown.is_missing("other", NOW)


def test_a_fetch_on_its_way_proves_nothing_of_what_is_asked_for_meanwhile() -> None:
    unknown = MissingKids()
    unknown.note_start()
    unknown.add("late")
    unknown.note_success(NOW, ("a",))
    assert not unknown.is_missing("late", NOW)
    unknown.note_start()
    unknown.note_success(NOW, ("a",))
    assert unknown.is_missing("late", NOW)


def test_a_fetch_that_failed_proves_nothing() -> None:
    unknown = MissingKids()
    unknown.add("kid")
    unknown.note_start()
    unknown.note_failure()
    unknown.note_start()
    unknown.note_success(NOW, ())
    assert not unknown.is_missing("kid", NOW)


def test_a_flood_of_names_is_bounded_and_the_latest_used_stay() -> None:
    unknown = MissingKids()
    looked_for(unknown, "asked again and again")
    for number in range(3 * REMEMBERED):
        looked_for(unknown, f"invented {number}")
        assert unknown.is_missing("asked again and again", NOW)
    assert len(unknown) == REMEMBERED


def test_what_is_wanted_is_bounded_too() -> None:
    unknown = MissingKids()
    for number in range(3 * REMEMBERED):
        unknown.add(f"invented {number}")
    assert len(unknown) == REMEMBERED
    unknown.note_start()
    unknown.note_success(NOW, ())
    assert unknown.is_missing(f"invented {3 * REMEMBERED - 1}", NOW)
    assert not unknown.is_missing("invented 0", NOW)
