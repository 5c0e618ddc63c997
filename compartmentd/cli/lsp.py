"""`compartmentd lsp`: serves editors over stdio, by the Language Server Protocol."""

from __future__ import annotations

import click

from compartmentd.cli.render import Format, format_option
from compartmentd.errors import UsageError


@click.command()
@click.option("-c", "--config", type=click.Path(), metavar="FILE", help="The main file of included files.")
@click.option("--stdio", is_flag=True, help="Speak over stdin and stdout, which is the only way there is.")
@format_option
def lsp(config: str | None, format_: Format, *, stdio: bool) -> None:  # noqa: ARG001 - editors add --stdio
    """Serve an editor: problems, completion, hover, definitions (needs the extra `lsp`)."""
    try:
        from compartmentd.cli.language_server import LanguageService  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            f"the language server needs the extra `lsp` ({error}); install it with "
            "`pipx install 'compartmentd[lsp]'`, or with `pip install` into an environment of its own"
        ) from None
    LanguageService(config).run()
