"""`compartmentd token`: mints a token for development, with a development key only."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import config_option
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.configuration.compiler import load
from compartmentd.errors import UsageError
from compartmentd.storage.files import Disk


@click.command()
@config_option()
@click.option(
    "--entry", metavar="NAME", help="The issuer entry; not needed if only one has a development key."
)
@click.argument("claims", metavar="CLAIMS")
@format_option
@click.pass_context
def token(context: click.Context, config: str, entry: str | None, claims: str, format_: Format) -> None:
    """Print a token with these CLAIMS, a JSON object such as '{"sub": "ann", "scope": "chat"}'."""
    from compartmentd.keys.development import mint_for_entry  # noqa: PLC0415 - the cryptography takes long to import

    loaded = load(config, Disk())
    if loaded.configuration is None:
        print_problems(loaded.problems, format_)
        context.exit(Exit.ERRORS)
    answer = mint_for_entry(loaded.configuration.issuers, entry, _parse_claims(claims), time.time())
    if format_ == "json":
        print_json(answer)
    else:
        click.echo(answer["token"])


def _parse_claims(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise UsageError('the claims must be a JSON object, such as {"sub": "ann"}') from None
