"""`compartmentd admin-token`: prints a token for the admin listeners on TCP, valid for 15 minutes."""

from __future__ import annotations

import click

from compartmentd.cli.admin_socket import ask_daemon, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json


@click.command("admin-token")
@daemon_options
@format_option
@click.pass_context
def admin_token(context: click.Context, socket_path: str | None, config: str | None, format_: Format) -> None:
    """Print a token for the admin listeners on TCP, valid for 15 minutes."""
    _, answer = ask_daemon("POST", "/admin/token", socket_path=socket_path, config=config)
    if format_ == "json":
        print_json(answer)
    elif "token" in answer:
        click.echo(answer["token"])
    else:
        click.echo(f"error: {answer['error']['message']}", err=True)
    context.exit(Exit.FINE if "token" in answer else Exit.ERRORS)
