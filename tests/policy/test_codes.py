from __future__ import annotations

import re
from pathlib import Path

from compartmentd.policy.codes import MEANINGS, Code

PACKAGE = Path(__file__).parents[2] / "compartmentd"

RETRY = {"rate_limited", "too_many", "room_full", "unavailable", "keys_unavailable"}
RETRY_CLOSING = {"slow", "token_expired"}


def test_every_code_has_a_meaning_and_nothing_else_has_one() -> None:
    assert set(MEANINGS) == set(Code)


def test_where_trying_again_can_help() -> None:
    assert {code.value for code, meaning in MEANINGS.items() if meaning.retry} == RETRY
    assert {code.value for code, meaning in MEANINGS.items() if meaning.retry_closing} == RETRY_CLOSING


def test_texts_are_lower_case_without_a_stop_and_differ() -> None:
    texts = [meaning.text for meaning in MEANINGS.values()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text == text.lower()
        assert not text.endswith(".")


def test_every_code_is_given_by_something() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "codes.py"]
    given = {name for source in sources for name in re.findall(r"\bCode\.([A-Z_]+)\b", source)}
    assert given == {code.name for code in Code}
