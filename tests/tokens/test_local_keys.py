"""The local keys of all entries together: overlaps of a rotation, and keys that two entries share."""

from __future__ import annotations

from typing import Any

import msgspec

from compartmentd.problems import Problem
from compartmentd.tokens.entry import IssuerEntry, KeyKind, KeySource
from compartmentd.tokens.key import Key
from compartmentd.tokens.local_keys import KeyMaterial, read_all_keys
from tests.tokens.forge import SECRET, SPAN, entry, jwk, jwks, pem, private_key

P256, RSA = private_key("p256"), private_key("rsa")
OTHER = b"another secret of at least thirty-two bytes"


def read(*given: tuple[IssuerEntry, KeyKind, bytes]) -> tuple[tuple[Key, ...], tuple[Problem, ...]]:
    """Read sources of entries, numbered by their lines."""
    material = [
        KeyMaterial(entry=who.name, source=KeySource(kind, f"{number}", SPAN), content=content)
        for number, (who, kind, content) in enumerate(given)
    ]
    return read_all_keys({who.name: who for who, _, _ in given}.values(), material)


def codes(*given: tuple[IssuerEntry, KeyKind, bytes]) -> list[str]:
    return [problem.code for problem in read(*given)[1]]


def corp(**settings: Any) -> IssuerEntry:
    return entry("corp", algorithms=("HS256", "RS256", "ES256"), **settings)


def test_a_secret_and_public_keys_are_keys_of_one_entry_each_for_its_kind() -> None:
    keys, problems = read((corp(), "public_key_file", pem(RSA)), (corp(), "secret_file", SECRET))
    assert problems == ()
    assert [key.algorithms for key in keys] == [("RS256",), ("HS256",)]


def test_every_file_of_an_overlap_counts_and_a_key_in_two_of_them_once() -> None:
    keys, problems = read(
        (corp(), "public_key_file", pem(RSA)),
        (corp(), "public_key_file", pem(P256) + pem(RSA)),
        (corp(), "secret_file", SECRET),
        (corp(), "secret_file", OTHER + b"\n"),
        (corp(), "secret_env", SECRET),
    )
    assert problems == ()
    assert [key.algorithms for key in keys] == [("RS256",), ("ES256",), ("HS256",), ("HS256",)]
    assert len({key.thumbprint for key in keys}) == 4


def test_a_bad_file_of_a_list_is_a_problem_of_that_file() -> None:
    _, problems = read((corp(), "secret_file", SECRET), (corp(), "secret_file", b"short"))
    assert [problem.code for problem in problems] == ["secret.too-short"]


def test_a_key_that_two_entries_share_is_an_error_that_names_the_other_entry() -> None:
    other = msgspec.structs.replace(entry("other"), algorithms=("HS256", "RS256", "ES256"))
    _, [problem] = read((corp(), "secret_file", SECRET), (other, "secret_env", SECRET + b"\n"))
    assert (problem.severity, problem.code) == ("error", "key.shared")
    assert problem.message.startswith("`other` has the same secret as `corp` (line ")
    one, two = jwks(jwk(P256.public_key(), kid="a")), pem(P256)
    assert codes((corp(), "jwks_file", one), (other, "public_key_file", two)) == ["key.shared"]
    assert codes((corp(), "public_key_file", pem(RSA) + two), (other, "public_key_file", two + pem(RSA))) == [
        "key.shared"
    ], "one problem for one file"
    assert codes((corp(), "secret_file", SECRET), (other, "secret_file", OTHER)) == []


def test_more_keys_without_names_than_are_tried_are_an_error_over_all_files() -> None:
    secrets: list[tuple[IssuerEntry, KeyKind, bytes]] = [
        (corp(), "secret_file", b"%d" % number * 40) for number in range(9)
    ]
    assert codes(*secrets[:8]) == []
    assert codes(*secrets) == ["key.unusable"]
    assert codes(*secrets[:8], secrets[0]) == [], "the same one again"
    pems: list[tuple[IssuerEntry, KeyKind, bytes]] = [
        (corp(), "public_key_file", pem(private_key("p256", f"{number}"))) for number in range(9)
    ]
    assert codes(*pems[:8], *secrets[:8]) == []
    assert codes(*pems) == ["key.unusable"]


def test_no_text_form_of_the_bytes_shows_them() -> None:
    material = KeyMaterial(entry=corp().name, source=KeySource("secret_file", "x", SPAN), content=SECRET)
    assert SECRET.decode() not in f"{material!r} {material}"
