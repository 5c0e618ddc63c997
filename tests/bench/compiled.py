"""Compiles the C sources in native/, and keeps what came out for as long as they stay the same."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "native"
BUILD = Path(__file__).parent / "build"
"""Git does not see it."""

COMMAND = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
LIBRARIES = ["-lssl", "-lcrypto", "-lm"]
"""From Debian's libssl-dev."""

PROGRAMS = {
    "load": (
        *("load", "settings", "link", "http", "websocket", "polling", "packets"),
        *("clients", "traffic", "closed", "paced"),
    ),
    "floor": ("floor",),
}
"""Each program's sources."""


class CompilationFailed(RuntimeError):
    """The compiler is missing or refused; the text says why."""


@functools.cache
def program(name: str) -> Path:
    """Return a program, compiled now if its sources have changed since it was last."""
    files = [SOURCES / f"{source}.c" for source in PROGRAMS[name]]
    known = hashlib.sha256()
    for file in [*files, *sorted(SOURCES.glob("*.h"))]:
        known.update(file.read_bytes())
    path = BUILD / f"{name}-{known.hexdigest()[:16]}"
    if path.exists():
        return path
    BUILD.mkdir(exist_ok=True)
    made = path.with_suffix(f".{os.getpid()}")  # others may compile it at the same time
    try:
        done = subprocess.run(
            [*COMMAND, "-o", str(made), *map(str, files), *LIBRARIES],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise CompilationFailed("there is no C compiler; .ci/need gcc libssl-dev brings one") from error
    if done.returncode:
        raise CompilationFailed(f"{name} does not compile; does .ci/need libssl-dev help?\n{done.stderr}")
    made.rename(path)
    return path
