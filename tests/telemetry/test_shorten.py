"""Texts of clients as operators see them: bounded, and without tokens."""

from __future__ import annotations

import pytest

from compartmentd.telemetry.shorten import LONGEST, OMITTED, shorten, shorten_unknown

JWS = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln"

OPAQUE = [
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",  # GitHub's form
    "ya29.a0AfB_byD3kq9Zs7mC1x0QvNw8r2LtYhPqXe5uJ4g",  # Google's
    "mF_9.B5f-4.1JqM" + "0aZ9bY8cX7dW6eV5fU4g",  # RFC 6750's, longer
    "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",  # Django's: 40 hexadecimal digits
    "SlAV32hkKGSlAV32hkKGSlAV32hkKG11",
]

NAMES = [
    "room:42",
    "user:550e8400-e29b-41d4-a716-446655440000",
    "pair:550e8400-e29b-41d4-a716-446655440000_6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "doc:507f1f77bcf86cd799439011",
    "a-rather-long-name-of-a-room-for-team-number-7-of-the-second-floor",
    "ThisIsTheRoomOfTheTeamThatHasTheLongestName.Of.All",
    "/socket.io/socket.io.min.js.map",
    "Räume für alle, die dort etwas zu sagen haben",
]


@pytest.mark.parametrize(
    "text", [JWS, f"user:{JWS}", f"/a/{JWS}/b", JWS.replace("eyJ", "%65y%4A"), f"é{JWS}"]
)
def test_a_signed_token_is_shown_nowhere(text: str) -> None:
    assert shorten(text) == shorten_unknown(text) == OMITTED


@pytest.mark.parametrize("text", OPAQUE)
@pytest.mark.parametrize("place", ["{}", "/ns/{}", "room:{}", "{}?a=1", "a%20{}"])
def test_an_opaque_token_is_shown_only_in_names_that_the_policy_knows(text: str, place: str) -> None:
    assert shorten_unknown(place.format(text)) == OMITTED
    assert shorten(place.format(text)) == place.format(text)


@pytest.mark.parametrize("text", NAMES)
def test_names_are_shown(text: str) -> None:
    assert shorten(text) == shorten_unknown(text) == text


def test_long_texts_are_cut() -> None:
    text = "ü " * LONGEST
    assert shorten(text) == shorten_unknown(text) == text[:LONGEST] + "…"
