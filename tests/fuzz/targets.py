"""The targets of `make fuzz`: small functions of bytes, each with the contract of one reader.

A target returns for every input; an exception is a finding. The seeds of a target stand in `corpus/NAME/`, together
with the inputs that once were findings (`found-*`); a fast test replays both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from tests.fuzz import http, policies, texts, wire

Target: TypeAlias = Callable[[bytes], None]

CORPUS = Path(__file__).with_name("corpus")

TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        wire.engineio_payload,
        wire.socketio_packet,
        wire.websocket_frames,
        wire.connection,
        http.http_head,
        http.origins,
        http.forwarded,
        texts.strict_json_text,
        texts.token_text,
        texts.token_claims,
        texts.key_set,
        texts.yaml_text,
        texts.configuration,
        policies.pattern_text,
        policies.templates,
        policies.rules,
    )
}

_MOST_SECONDS = 0.1
_SLOWER = {
    "configuration": 0.5,  # a whole compilation
    "pattern_text": 0.5,  # two templates are compared state by state: 62,000 pairs of states for `[5]{241}`, 0.08 s
    "templates": 3.0,  # all rooms of four templates written down
}


def get_limit(name: str) -> float:
    """Return the CPU time in seconds beyond which an input (of at most 4 KiB) is a finding."""
    return _SLOWER.get(name, _MOST_SECONDS)


def list_seeds(name: str) -> Iterator[Path]:
    """Yield the files of a target's corpus, in order."""
    yield from sorted((CORPUS / name).glob("*.seed"))
