"""Finds the configuration of a command that names none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from compartmentd.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])

HERE = "compartments.yaml"
SYSTEM = "/etc/compartmentd/compartments.yaml"


def find_configuration() -> str | None:
    """Return `compartments.yaml` of the working directory, else that of the system, else `None`."""
    return next((path for path in (HERE, SYSTEM) if Path(path).is_file()), None)


def require_configuration(named: str | None) -> str:
    """Return the configuration that a command names, or the one that it finds by itself.

    Raises:
        UsageError: it names none, and there is none.
    """
    found = find_configuration() if named is None else named
    if found is None:
        raise UsageError(f"there is no `{HERE}` here, and no `{SYSTEM}`: name the configuration")
    return found


def config_option(name: str = "config") -> Callable[[Command], Command]:
    """Return the option `-c` of a command that needs a configuration; the command's parameter is `name`."""
    return click.option(
        "-c",
        "--config",
        name,
        type=click.Path(),
        metavar="FILE",
        callback=lambda _context, _parameter, value: require_configuration(value),
        help=f"The configuration. [default: `{HERE}` here, else `{SYSTEM}`]",
    )
