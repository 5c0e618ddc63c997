"""Binary values inside payloads: taken out and numbered when sent, put back when received.

Socket.IO v5, "Binary data": every binary leaf is replaced, depth first, by `{"_placeholder":true,"num":k}`,
and the k-th binary packet after the message holds its bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compartmentd.errors import WireError


def take_out(value: Any, found: list[bytes]) -> Any:
    """Return the value with placeholders for its binary leaves, which are appended to `found`.

    A value without any is returned itself, not copied.
    """
    if isinstance(value, bytes | bytearray | memoryview):
        found.append(bytes(value))
        return {"_placeholder": True, "num": len(found) - 1}
    if isinstance(value, Mapping):
        before = len(found)
        items = {key: take_out(item, found) for key, item in value.items()}
        return items if len(found) > before else value
    if isinstance(value, list | tuple):
        before = len(found)
        parts = [take_out(item, found) for item in value]
        return parts if len(found) > before else value
    return value


def put_back(value: Any, attachments: Sequence[bytes]) -> Any:
    """Return the decoded value with the attachments in the place of their placeholders.

    Raises:
        WireError: a placeholder names no attachment.
    """
    if isinstance(value, dict):
        if value.get("_placeholder") is True:
            return _find_attachment(value.get("num"), attachments)
        return {key: put_back(item, attachments) for key, item in value.items()}
    if isinstance(value, list):
        return [put_back(item, attachments) for item in value]
    return value


def _find_attachment(num: Any, attachments: Sequence[bytes]) -> bytes:
    # `True` is an int in Python, and no number in the protocol.
    if isinstance(num, bool) or not isinstance(num, int) or not 0 <= num < len(attachments):
        raise WireError("a placeholder names no attachment", reason="attachments")
    return attachments[num]
