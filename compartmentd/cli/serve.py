"""`compartmentd serve`: runs the daemon."""

from __future__ import annotations

import math
import os
import time

import click

from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import config_option
from compartmentd.cli.render import print_problems
from compartmentd.errors import ConfigInvalid, SocketInUse, Unreachable, UsageError


@click.command()
@config_option("path")
@click.option(
    "--dev",
    "development",
    is_flag=True,
    help="Serve the playground and mint tokens, on this machine only; creates missing development keys.",
)
@click.option(
    "--last-good",
    is_flag=True,
    help="If the files have errors, start on the newest stored configuration without errors (see `rollback`).",
)
@click.pass_context
def serve(context: click.Context, path: str, *, development: bool, last_good: bool) -> None:
    """Serve a configuration until TERM or INT; HUP reloads it."""
    # Imported here, since the other commands start faster without the server.
    from compartmentd.daemon import run  # noqa: PLC0415

    try:
        failed = run.serve(path, development=development, environ=os.environ, last_good=last_good)
    except ConfigInvalid as error:
        print_problems(error.problems, "text")
        context.exit(Exit.ERRORS)
    except SocketInUse as error:
        ends = find_end(error.path)
        if ends is None:
            raise
        raise UsageError(
            f"{error.problem}; it is a daemon that is stopping, and is gone in {ends} s at the latest: "
            "start again then, or end it at once by a second TERM or Ctrl-C"
        ) from None
    context.exit(Exit.ERRORS if failed else Exit.FINE)


def find_end(path: str) -> int | None:
    """Return the seconds until the daemon at an admin socket must be gone; `None` if it is not stopping."""
    from compartmentd.cli.admin_client import AdminClient  # noqa: PLC0415 - only where a socket is taken

    try:
        _, status = AdminClient(path, ANSWER).request("GET", "/admin/status")
    except Unreachable:
        return None
    draining = status.get("draining") if isinstance(status, dict) else None
    if draining is None:
        return None
    until: float = draining["until"] / 1000
    return max(1, math.ceil(until - time.time()))


ANSWER = 2.0
"""Seconds to wait for the answer of the daemon that has the socket."""
