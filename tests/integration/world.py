"""The compartments that the integration tests live in: small, and with one of everything."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.mint import Issuer

CHAT = "chat:connect chat:write"
"""The scopes of whoever may connect to `/chat` and write there."""

MESSAGE_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1, "maxLength": 4000}},
    "additionalProperties": False,
}

_SETTINGS: dict[str, Any] = {
    "namespaces": {
        "/": {"connect": "public", "publish": "authenticated", "events": ["message"]},
        "/chat": {
            "connect": {"scope": "chat:connect"},
            "rooms": {
                "lobby": {
                    "join": "authenticated",
                    "publish": {"scope": "chat:write"},
                    "events": {
                        "message": {"schema": "message.schema.json"},
                        "typing": {"volatile": True},
                        "blob": {},
                    },
                },
                "project:{project}": {
                    "params": {"project": {"pattern": "[a-z0-9-]{1,40}"}},
                    "join": {"claim": "projects", "contains": "{project}"},
                    "publish": "members",
                    "events": ["message"],
                },
                "mirror": {
                    "join": "authenticated",
                    "publish": "members",
                    "events": ["message"],
                    "echo": True,
                },
                "small": {
                    "join": "authenticated",
                    "publish": "members",
                    "events": ["message"],
                    "capacity": 2,
                },
                "user:{user}": {
                    "join": {"claim": "sub", "equals": "{user}"},
                    "auto_join": {"user": "sub"},
                },
                "team:{team}": {
                    "params": {"team": {"pattern": "[a-z]+"}},
                    "join": {"claim": "teams", "contains": "{team}"},
                    "auto_join": {"team": "teams"},
                    "publish": "members",
                    "events": ["message"],
                },
                "moderation": {
                    "join": {"all": ["server", {"scope": "chat:moderate"}]},
                    "auto_join": True,
                    "publish": "members",
                    "events": ["message"],
                },
                "case:{case}": {
                    "params": {"case": {"integer": {"min": 1}}},
                    "join": {"claim": "clearance", "at_least": 3},
                    "publish": "members",
                    "events": ["message"],
                },
                "board:{case}": {
                    "params": {"case": {"integer": {"min": 1}}},
                    "join": {"member_of": "case:{case}"},
                    "publish": "members",
                    "events": ["result"],
                },
            },
        },
        "/staff": {
            "connect": {"scope": "staff"},
            "rooms": {"desk": {"join": "authenticated", "publish": "members", "events": ["message"]}},
        },
    },
}


def settings() -> dict[str, Any]:
    """Return the settings, to be changed at will."""
    return copy.deepcopy(_SETTINGS)


def write_schema(directory: Path) -> None:
    """Write the payload schema that the settings name."""
    (directory / "message.schema.json").write_text(json.dumps(MESSAGE_SCHEMA))


def daemon(directory: Path, corp: Issuer, changed: dict[str, Any] | None = None, **options: Any) -> Daemon:
    """Return a daemon (not started) on these settings, or on changed ones."""
    write_schema(directory)
    return Daemon(directory, changed or settings(), corp, **options)
