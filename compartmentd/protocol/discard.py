"""Takes the packets of one namespace out of what is queued, when its session has ended for good.

What was queued for a session is not sent after its end, as after a logout: a client may take minutes for its queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from compartmentd.protocol.engineio import Outgoing
from compartmentd.protocol.message import Batch, Message, Run
from compartmentd.protocol.websocket import find_frames

_PACKET = re.compile(rb"4(?:[23]|[56](\d+)-)")
"""EVENT and ACK, and their binary forms with the number of attachments; in an Engine.IO message packet."""


def count_discarded(packet: bytes, namespace: bytes) -> int:
    """Return how many packets an EVENT or ACK of this namespace takes with it, itself counted, else 0."""
    found = _PACKET.match(packet)
    if found is None:
        return 0
    at = found.end()
    is_of_it = (
        not packet.startswith(b"/", at) if namespace == b"/" else packet.startswith(namespace + b",", at)
    )
    return 1 + int(found[1] or 0) if is_of_it else 0


def discard_queued(queue: Iterable[Outgoing], namespace: bytes) -> Iterator[Outgoing]:
    """Yield what stays of a queue without the events and acks of a namespace."""
    for item in queue:
        match item:
            case Batch():
                messages = item.close()
                kept = [message for message in messages if not count_discarded(message.packet, namespace)]
                if len(kept) == len(messages):
                    yield item
                else:
                    yield from kept
            case Message():
                if not count_discarded(item.packet, namespace):
                    yield item
            case Run():
                if not count_discarded(item.before, namespace):
                    yield item
            case _:
                yield item


def discard_frames(data: bytes, namespace: bytes) -> bytes:
    """Return what stays of whole frames of a server without the events and acks of a namespace."""
    kept: list[bytes] = []
    left = 0  # packets to leave out, attachments of the last one
    for frame, payload in find_frames(data):
        left = left or count_discarded(payload, namespace)
        if left:
            left -= 1
        else:
            kept.append(frame)
    return b"".join(kept)
