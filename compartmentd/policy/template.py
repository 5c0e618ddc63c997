"""All that is said of templates, gathered: grammar, questions about sets of rooms, and dispatch."""

from __future__ import annotations

from compartmentd.policy.charset import MAX_ROOM_BYTES, valid_room_name
from compartmentd.policy.overlap import ambiguity, conflicts, example, reached, template_ambiguity
from compartmentd.policy.pattern import PatternProblem, default_param, parse_pattern
from compartmentd.policy.text import fill, parse_text, placeholders, written

__all__ = [
    "MAX_ROOM_BYTES",
    "PatternProblem",
    "ambiguity",
    "conflicts",
    "default_param",
    "example",
    "fill",
    "parse_pattern",
    "parse_text",
    "placeholders",
    "reached",
    "template_ambiguity",
    "valid_room_name",
    "written",
]
