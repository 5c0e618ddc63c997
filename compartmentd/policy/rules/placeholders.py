"""Strings with placeholders: `project:{project}`, with `{{` and `}}` for literal braces."""

from __future__ import annotations

import re
from collections.abc import Mapping

from compartmentd.policy.model import Text
from compartmentd.policy.templates.pattern import PatternProblem

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def parse_text(text: str) -> Text | PatternProblem:
    """Split a string at its placeholders into a `Text`, or return what is wrong with it and where."""
    parts: list[str] = []
    literal, end = "", 0
    for piece in _PIECE.finditer(text):
        literal += text[end : piece.start()]
        end = piece.end()
        name = piece.group(1)
        if piece.group() in ("{{", "}}"):
            literal += piece.group()[0]
        elif name is None:
            brace = piece.group()
            return PatternProblem(
                piece.start(), f"`{brace}` has no partner", f"write `{brace}{brace}` for the brace itself"
            )
        elif not _NAME.fullmatch(name):
            form = name.partition(":")[0]
            if form != name and _NAME.fullmatch(form):
                return PatternProblem(
                    piece.start(),
                    f"`{piece.group()}` is not a placeholder",
                    f"write `{{{form}}}`, and the form of the parameter in `params: {{{form}: ...}}`",
                )
            return PatternProblem(
                piece.start(),
                f"`{piece.group()}` is not a placeholder",
                "a parameter's name is letters, digits, `_` and `-`, and begins with a letter or `_`",
            )
        else:
            parts += (literal, name)
            literal = ""
    return (*parts, literal + text[end:])


def list_parameters(text: Text) -> tuple[str, ...]:
    """Return the names of the parameters in the text, in order."""
    return text[1::2]


def fill(text: Text, values: Mapping[str, str]) -> str:
    """Fill values into the text; raises `KeyError` for a parameter without a value."""
    if len(text) == 1:
        return text[0]
    parts = list(text)
    parts[1::2] = [values[name] for name in text[1::2]]
    return "".join(parts)


def format_text(text: Text) -> str:
    """Return the text as the operator wrote it, with placeholders and doubled braces."""
    if len(text) == 1 and "{" not in text[0] and "}" not in text[0]:
        return text[0]
    parts = [literal.replace("{", "{{").replace("}", "}}") for literal in text]
    parts[1::2] = [f"{{{name}}}" for name in text[1::2]]
    return "".join(parts)
