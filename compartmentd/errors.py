"""The exceptions of compartmentd, on one page.

    CompartmentdError
    ├── ConfigInvalid     the operator's file is invalid: carries every problem, with positions
    ├── WireError         a client's bytes are invalid: its connection is closed with "parse error"
    │   └── PayloadRefused   JSON that is not accepted here: may be answered with an error instead
    ├── UsageError        the operator's command or environment is wrong: printed in one line, exit code 2
    │   └── SocketInUse      another process listens on a unix socket: it may be a daemon that ends
    └── Unreachable       no daemon answers on the admin socket: exit code 3

A refusal is no exception: a decision and a rejected token are values.
"""

from __future__ import annotations

from collections.abc import Sequence

from compartmentd.problems import Problem


class CompartmentdError(Exception):
    """The base class; never raised itself."""


class ConfigInvalid(CompartmentdError):
    """The configuration cannot be used; `problems` lists every problem found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class WireError(CompartmentdError):
    """A peer violated Engine.IO, Socket.IO or WebSocket.

    `code` is the WebSocket close code (RFC 6455, 7.4.1). `reason` is one of a fixed list
    (`protocol.counters.VIOLATIONS`), for the log, the metrics and the client.
    """

    def __init__(self, message: str, code: int = 1002, reason: str = "packet") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class PayloadRefused(WireError):
    """A payload is JSON, but not accepted here: it has lone surrogates, huge numbers or deep nesting."""


class UsageError(CompartmentdError):
    """A command cannot be executed as given; the text says what to do instead."""


class SocketInUse(UsageError):
    """Another process listens on the unix socket at `path`: `problem` says so, and `advice`, if any, what to do."""

    def __init__(self, path: str, problem: str, advice: str = "") -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{problem}; {advice}" if advice else problem)


class Unreachable(CompartmentdError):
    """No daemon answers on the admin socket at `path`; `why` says what happened instead."""

    def __init__(self, path: str, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"the daemon cannot be reached at `{path}`: {why}")
