"""`compartmentd tail`: shows what the running daemon decides, as it is decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from compartmentd.cli.admin_socket import daemon_options, follow_daemon
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option
from compartmentd.telemetry.logs import escape


@click.command()
@daemon_options
@click.option("--refused", is_flag=True, help="Only what was refused or ended.")
@click.option("--namespace", metavar="NAME", help="Only this namespace.")
@click.option("--room", metavar="ROOM", help="Only this room.")
@click.option("--user", metavar="USER", help="Only this user: ENTRY:SUB, or the subject alone.")
@format_option
@click.pass_context
def tail(
    context: click.Context,
    /,
    socket_path: str | None,
    config: str | None,
    format_: Format,
    *,
    refused: bool,
    **selection: str | None,
) -> None:
    """Show every decision as it is made, with the lines of the file that decided; until Ctrl-C.

    With `--format json` each decision is one line.
    """
    try:
        for kind, record in follow_daemon("/admin/decisions", socket_path=socket_path, config=config):
            if kind == "dropped":
                click.echo(f"({record['count']} decisions came too fast to be shown)", err=True)
            elif not (refused and record["allowed"]) and _is_selected(record, selection):
                lines = (
                    [msgspec.json.encode(record).decode()]
                    if format_ == "json"
                    else list(format_decision(record))
                )
                click.echo("\n".join(lines))
    except KeyboardInterrupt:
        context.exit(Exit.FINE)
    click.echo("error: the daemon ended the stream", err=True)
    context.exit(Exit.UNREACHABLE)


def _is_selected(record: Mapping[str, Any], selection: Mapping[str, str | None]) -> bool:
    subject = record["subject"] or ""
    user = selection["user"]
    return (
        selection["namespace"] in {None, record["namespace"]}
        and selection["room"] in {None, record["room"]}
        and user in {None, subject, subject.partition(":")[2]}
    )


def format_decision(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a decision: who asked for what, the answer, and the conditions to blame."""
    time = datetime.fromtimestamp(record["at"] / 1000, UTC).astimezone().strftime("%H:%M:%S")
    ended = record["request"] == "end"
    words = [record["request"].replace("_", "-"), record["event"], record["namespace"], record["room"]]
    what = " ".join(escape(word) for word in words if word)
    who = escape(record["subject"] or "nobody")
    if record["allowed"]:
        yield f"{time} {click.style('✓', fg='green')} {what}  {who}"
        return
    code = click.style(record["code"], fg="yellow" if ended else "red")
    detail = f"  {escape(record['detail'])}" if record["detail"] else ""
    yield f"{time} {click.style('✗', fg='red')} {what}  {who}  {code}{detail}"
    for reason in record["reasons"]:
        for blamed in _find_blamed(reason):
            place = f"{blamed['file']}:{blamed['line']}:{blamed['column']}: " if "file" in blamed else ""
            seen = f" ({escape(blamed['seen'])})" if "seen" in blamed else ""
            unknown = " (cannot be decided)" if blamed["truth"] == "unknown" else ""
            yield f"         {place}{escape(blamed['text'])}{unknown}{seen}"


def _find_blamed(reason: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the innermost parts with a place that are not true; of a check without parts the check."""
    if reason["truth"] == "true":
        return
    inner = [each for part in reason["parts"] for each in _find_blamed(part)]
    placed = [each for each in inner if "file" in each]
    yield from placed or [reason]
