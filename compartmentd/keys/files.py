"""Reads local key material: the bytes behind each issuer entry's key source.

This is separate from compiling because the daemon reads the material itself: secrets do not pass through another
process's output, and keys are followed even if the configuration is not watched.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from compartmentd.problems import Problem
from compartmentd.tokens.entry import REMOTE, SECRETS, IssuerEntry, KeySource
from compartmentd.tokens.key import DEVELOPMENT_PREFIX
from compartmentd.tokens.local_keys import KeyMaterial
from compartmentd.tokens.mint import make_development_secret


def read_material(
    issuers: tuple[IssuerEntry, ...],
    *,
    development: bool,
) -> tuple[tuple[KeyMaterial, ...], tuple[Problem, ...]]:
    """Read every local key source.

    Args:
        issuers: The entries.
        development: Whether development keys are accepted (`serve --dev`).

    Returns:
        The bytes of each source that can be read and used, and a problem for each other one, at its place.
    """
    found: list[KeyMaterial] = []
    problems: list[Problem] = []
    sources = ((entry.name, source) for entry in issuers for source in entry.sources)
    for name, source in sources:
        if source.kind in REMOTE:
            continue
        read = _read_source(source)
        if isinstance(read, Problem):
            problems.append(read)
        elif source.kind in SECRETS and read.startswith(DEVELOPMENT_PREFIX) and not development:
            problems.append(_build_development_key_problem(source))
        else:
            found.append(KeyMaterial(entry=name, source=source, content=read))
    return tuple(found), tuple(problems)


def make_missing_secrets(issuers: tuple[IssuerEntry, ...]) -> dict[str, bytes]:
    """Create a development secret for every `secret_file` that is missing; return by path the SHA-256 of each.

    Only `serve --dev` does so. The files are readable by their owner alone, and existing files are never replaced.

    Raises:
        OSError: a file cannot be created.
    """
    made = {}
    sources = (source for entry in issuers for source in entry.sources)
    for source in sources:
        if source.kind != "secret_file":
            continue
        try:
            descriptor = os.open(source.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            continue
        secret = make_development_secret()
        with os.fdopen(descriptor, "wb") as file:
            file.write(secret)
        made[source.name] = hashlib.sha256(secret).digest()
    return made


def _read_source(source: KeySource) -> bytes | Problem:
    if source.kind == "secret_env":
        value = os.environb.get(os.fsencode(source.name))
        if value is not None:
            return value
        return Problem(
            "error",
            "variable.unset",
            f"the environment variable `{source.name}` is not set",
            source.span,
            "set it for the daemon, or use `secret_file`",
        )
    try:
        return Path(source.name).read_bytes()
    except OSError as error:
        return Problem(
            "error",
            "file.unreadable",
            f"cannot read `{source.name}`: {(error.strerror or 'unknown error').lower()}",
            source.span,
            "make the file readable for the user that runs the daemon",
        )


def _build_development_key_problem(source: KeySource) -> Problem:
    return Problem(
        "error",
        "key.development",
        f"`{source.name}` is a development key, with which anyone with this checkout can mint tokens",
        source.span,
        "use a secret of your own (32 bytes or more), or start with `serve --dev`",
    )
