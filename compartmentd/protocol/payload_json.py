"""The JSON of Socket.IO payloads, with errors of the wire.

Text that is no JSON is a `WireError`, since no client library sends it. JSON that is not taken here is a
`PayloadRefused`, which an application may answer instead of closing.
"""

from __future__ import annotations

from typing import Any

from compartmentd.errors import PayloadRefused, WireError
from compartmentd.util import strict_json
from compartmentd.util.strict_json import NotJson, NotStrict


def decode(text: bytes) -> Any:
    """Return the value of a JSON text that is known to be UTF-8.

    Raises:
        PayloadRefused: it is JSON that is not taken.
        WireError: it is no JSON.
    """
    try:
        return strict_json.decode(text)
    except NotStrict as refused:
        raise PayloadRefused(f"the payload {refused}", reason="json") from None
    except NotJson as refused:
        raise WireError(f"the payload {refused}", reason="json") from None
