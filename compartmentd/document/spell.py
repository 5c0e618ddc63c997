"""Spells values as YAML that can be pasted, for help texts."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from compartmentd.document.scalars import resolve_scalar

LONGEST = 80
"""Characters of a value in a message; a longer one is cut."""

# In `[...]` and `{...}`, where help shows values, more characters end a text than on a line of its own.
_PLAIN = re.compile(r"[A-Za-z0-9/_.$(][A-Za-z0-9/_.$@+()-]*(?:[ :][A-Za-z0-9/_.$@+()-]+)*")
_ADDRESS = re.compile(r"[0-9a-z+.-]+://|[0-9.]+:")
_CURLY = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a\u00ab\u00bb`\u00b4")
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)


def spell_scalar(data: Any) -> str:
    """Return a value as YAML spells it, without quotes, shortened if it is long; invisible characters are named."""
    if data is None:
        return "null"
    if isinstance(data, bool):
        return str(data).lower()
    text = str(data)
    return show_invisible(text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")


def show_invisible(text: str) -> str:
    """Return a text in which each character that no editor shows is its number, as in `U+00A0`."""
    return _INVISIBLE.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def find_invisible(text: str) -> int | None:
    """Return where the first character stands that no editor shows, or `None` if there is none."""
    found = _INVISIBLE.search(text)
    return None if found is None else found.start()


def unquote(text: str) -> str:
    """Return a text without the curly quotes around it, and without characters that no editor shows."""
    bare = _INVISIBLE.sub("", text)
    return bare[1:-1].strip() if len(bare) > 1 and bare[0] in _CURLY and bare[-1] in _CURLY else bare


def find_curly_quote(text: str) -> int | None:
    """Return where the first curly quote stands, or `None` if there is none."""
    return next((at for at, character in enumerate(text) if character in _CURLY and character != "`"), None)


def describe_character(character: str) -> str:
    """Return a character's number and name, as in `U+00A0 (no-break space)`."""
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character').lower()})"


def spell_flow(data: Any) -> str:
    """Return a value as it can be pasted into `[...]` or `{...}`; a long one is cut to `...`."""
    text = _spell(data, 0)
    return text if len(text) <= LONGEST else "..."


def spell_entry(key: str, data: Any) -> str:
    """Return a key with its value as they stand in a mapping; of a long value only the key and `...`."""
    value = _spell(data, 0)
    return f"{_spell(key, 0)}: {value if len(value) <= 2 * LONGEST else '...'}"


def _spell(data: Any, depth: int) -> str:
    if depth > 3:
        return "..."
    if isinstance(data, dict):
        pairs = (f"{_spell(key, depth)}: {_spell(value, depth + 1)}" for key, value in data.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(data, list):
        return f"[{', '.join(_spell(item, depth + 1) for item in data)}]"
    if not isinstance(data, str):
        return spell_scalar(data)
    if (
        len(data) <= LONGEST
        and _PLAIN.fullmatch(data)
        and resolve_scalar(data) == data
        and not _ADDRESS.match(data)
    ):
        return data
    escaped = show_invisible(data.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{escaped}"'
