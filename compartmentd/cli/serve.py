"""`compartmentd serve`: runs the daemon."""

from __future__ import annotations

import os

import click

from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import config_option
from compartmentd.cli.render import print_problems
from compartmentd.errors import ConfigInvalid


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
    context.exit(Exit.ERRORS if failed else Exit.FINE)
