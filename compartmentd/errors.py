"""The exceptions of compartmentd, on one page.

    CompartmentdError
    ├── ConfigInvalid     the operator's file: carries every problem found, with positions
    ├── WireError         a client's bytes: its connection is closed with "parse error"
    │   └── PayloadRefused   JSON that we do not take: may be answered instead
    ├── UsageError        the operator's command or environment: told in one line, exit code 2
    └── Unreachable       no daemon answers on the admin socket: exit code 3

A refusal is none of them: a decision, or a rejected token, is a value.
"""

from __future__ import annotations

from collections.abc import Sequence

from compartmentd.problems import Problem


class CompartmentdError(Exception):
    """The root; never raised itself."""


class ConfigInvalid(CompartmentdError):
    """The configuration cannot be used; `problems` holds everything that was found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class WireError(CompartmentdError):
    """A peer broke Engine.IO, Socket.IO or WebSocket; `code` is the WebSocket close code (RFC 6455, 7.4.1)."""

    def __init__(self, message: str, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


class PayloadRefused(WireError):
    """A payload is JSON, but not of the kind taken here: lone surrogates, huge numbers, deep nesting."""


class UsageError(CompartmentdError):
    """A command cannot be carried out as it was given; the text says what to do instead."""


class Unreachable(CompartmentdError):
    """No daemon answers on the admin socket at `path`; `why` tells what was met instead."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"the daemon cannot be reached at `{path}`: {why}")
