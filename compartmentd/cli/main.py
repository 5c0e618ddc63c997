"""`compartmentd`: runs a command, and reports an error in one line and by the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module

import click

from compartmentd import __version__
from compartmentd.cli.examples import OTHER_NAMES, format_examples
from compartmentd.cli.exits import Exit
from compartmentd.document.nearest import find_nearest
from compartmentd.errors import UsageError

COMMANDS: Mapping[str, str] = {
    "init": "compartmentd.cli.init:init",
    "check": "compartmentd.cli.check:check",
    "serve": "compartmentd.cli.serve:serve",
    "reload": "compartmentd.cli.reload:reload",
    "status": "compartmentd.cli.status:status",
    "sessions": "compartmentd.cli.sessions:sessions",
    "tail": "compartmentd.cli.tail:tail",
    "rollback": "compartmentd.cli.rollback:rollback",
    "revoke": "compartmentd.cli.revoke:revoke",
    "admin-token": "compartmentd.cli.admin_token:admin_token",
    "explain-token": "compartmentd.cli.explain_token:explain_token",
    "token": "compartmentd.cli.token:token",
    "schema": "compartmentd.cli.schema:schema",
    "lsp": "compartmentd.cli.lsp:lsp",
    "completion": "compartmentd.cli.completion:completion",
}
"""The module and attribute of each command. It is imported only when it is used, so that commands start fast."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a command."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        command.epilog = format_examples(cmd_name) or None
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; for an unknown one, name the command that was probably meant."""
        name = args[0]
        if name.startswith("-") or name in COMMANDS:
            return super().resolve_command(ctx, args)
        near = OTHER_NAMES.get(name.lower()) or find_nearest(name, COMMANDS)
        meant = f"did you mean `{near}`?" if near else f"the commands are {', '.join(COMMANDS)}"
        raise click.UsageError(f"no command `{name}`: {meant}", ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="compartmentd")
def cli() -> None:
    """Declarative compartments for Socket.IO: namespaces and rooms in YAML, enforced with JWTs."""


def main() -> None:
    """Run the command line; the process exits with one of `Exit`, and never with a traceback."""
    try:
        cli.main(prog_name="compartmentd")
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(Exit.USAGE)
    except BrokenPipeError:
        # The reader of the output has gone, as `head` does; Python would report it again while it exits.
        sys.stderr.close()
        sys.exit(Exit.ERRORS)
    except Exception as error:  # noqa: BLE001 - the last resort: a defect is reported in one line
        click.echo(f"error: internal error, please report it: {type(error).__name__}: {error}", err=True)
        sys.exit(Exit.ERRORS)
