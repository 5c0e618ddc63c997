"""`compartmentd revoke`: revokes the tokens of a user or a login session, or a single token."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from compartmentd.cli.admin_socket import ask_daemon, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json
from compartmentd.errors import UsageError
from compartmentd.util.humanize import format_count


@click.command()
@click.argument("issuer")
@click.option("--sub", metavar="SUBJECT", help="Revoke all tokens of a subject.")
@click.option("--sid", metavar="SESSION", help="Revoke all tokens of a session at the identity provider.")
@click.option("--jti", metavar="ID", help="Revoke one token.")
@click.option(
    "--before",
    metavar="TIME",
    help="Only tokens issued at this time or earlier: 2026-11-24T10:00:00Z, or a number like `iat`. Default: now.",
)
@daemon_options
@format_option
@click.pass_context
def revoke(  # noqa: PLR0917 - click passes by name
    context: click.Context,
    issuer: str,
    sub: str | None,
    sid: str | None,
    jti: str | None,
    before: str | None,
    socket_path: str | None,
    config: str | None,
    format_: Format,
) -> None:
    """Revoke tokens of ISSUER, an entry's name or its `issuer`; their sessions end at once.

    Exactly one of --sub, --sid and --jti is required.
    """
    named = {key: value for key, value in {"sub": sub, "sid": sid, "jti": jti}.items() if value is not None}
    if len(named) != 1:
        raise UsageError("give exactly one of `--sub`, `--sid` and `--jti`")
    body: dict[str, Any] = {"issuer": issuer, **named}
    if before is not None:
        body["before"] = _parse_time(before)
    _, answer = ask_daemon("POST", "/admin/revoke", body, socket_path=socket_path, config=config)
    if format_ == "json":
        print_json(answer)
    elif answer["ok"]:
        _print_answer(answer)
    else:
        click.echo(f"error: {answer['error']['message']}", err=True)
    context.exit(Exit.FINE if answer["ok"] else Exit.ERRORS)


def _print_answer(answer: dict[str, Any]) -> None:
    click.echo(f"revoked: {format_count(answer['sessions'], 'session')} ended")
    if not answer["lasting"]:
        click.echo(
            "note: the revocation is lost at a restart, since the configuration has no `server.state`",
            err=True,
        )


def _parse_time(text: str) -> float:
    """Return a time in the form that the daemon expects.

    A number unchanged, a date as milliseconds since the epoch.
    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise UsageError(f"`{text}` is not a time: write one such as `2026-11-24T10:00:00Z`") from None
