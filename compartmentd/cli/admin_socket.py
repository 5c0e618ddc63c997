"""Finds the running daemon for commands: by `--socket`, by the configuration that it serves, or by default."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import click
import msgspec

from compartmentd.cli.admin_client import AdminClient
from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import HERE, SYSTEM, find_configuration
from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import ServerSettings
from compartmentd.errors import Unreachable, UsageError
from compartmentd.net.admin_socket import find_admin_socket_path, find_temporary_directory, require_private
from compartmentd.storage.files import Disk

Command = TypeVar("Command", bound=Callable[..., Any])


def daemon_options(command: Command) -> Command:
    """Add `--socket` and `-c` to a command; its parameters are `socket_path` and `config`."""
    config = click.option(
        "-c",
        "--config",
        type=click.Path(),
        metavar="FILE",
        help=f"The configuration that it serves. [default: `{HERE}` here, else `{SYSTEM}`]",
    )
    socket = click.option(
        "--socket", "socket_path", type=click.Path(), metavar="PATH", help="Its admin socket."
    )
    return config(socket(command))


def ask_daemon(
    method: str, target: str, body: Any = None, *, socket_path: str | None, config: str | None
) -> tuple[int, Any]:
    """Send a request to the daemon over its admin socket; exits the command if no daemon answers.

    Args:
        method: The HTTP method.
        target: The path of the resource.
        body: The JSON body; `None` sends none.
        socket_path: The value of `--socket`.
        config: The value of `--config`.

    Returns:
        The HTTP status and the JSON answer.

    Raises:
        UsageError: the configuration does not give the socket, or the socket's directory is not trustworthy.
    """
    path = socket_path if socket_path is not None else _find_path(config)
    try:
        return AdminClient(path).request(method, target, body)
    except Unreachable as error:
        _exit_unreachable(str(error))


def follow_daemon(target: str, *, socket_path: str | None, config: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the events of a stream of the daemon; exits the command if no daemon answers.

    Args:
        target: The path of the resource.
        socket_path: The value of `--socket`.
        config: The value of `--config`.

    Raises:
        UsageError: as `ask_daemon`.
    """
    path = socket_path if socket_path is not None else _find_path(config)
    try:
        yield from AdminClient(path).follow(target)
    except Unreachable as error:
        _exit_unreachable(str(error))


def _exit_unreachable(why: str) -> NoReturn:
    click.echo(f"error: {why}", err=True)
    click.get_current_context().exit(Exit.UNREACHABLE)
    raise AssertionError("exit does not return")


def _find_path(config: str | None) -> str:
    settings = ServerSettings()
    named = config is not None
    config = find_configuration() if config is None else config
    if config is not None:
        # Errors elsewhere in the file do not matter: they may be the reason for asking the daemon.
        loaded = load(config, Disk())
        if loaded.server is None and not named:
            loaded = msgspec.structs.replace(loaded, server=settings)
        if loaded.server is None:
            for problem in loaded.problems:
                click.echo(problem.as_text(), err=True)
            raise UsageError(
                f"the socket cannot be read from `{config}` while it has these errors: use `--socket`"
            )
        settings = loaded.server
    path = find_admin_socket_path(settings.admin, os.environ, os.getuid(), find_temporary_directory())
    require_private(path, os.getuid())
    return path
