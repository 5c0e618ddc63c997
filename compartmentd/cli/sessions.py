"""`compartmentd sessions`: shows who is connected to the running daemon, and to which rooms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click

from compartmentd.cli.admin_socket import ask_daemon, daemon_options
from compartmentd.cli.exits import Exit
from compartmentd.cli.render import Format, format_option, print_json
from compartmentd.telemetry.shorten import shorten
from compartmentd.util.humanize import format_count

OK = 200
_PAGE = 500
"""Items that are asked for at a time."""

_SHOWN_ROOMS = 5
"""Rooms of a session that are shown as text."""


@click.command()
@daemon_options
@click.option("--namespace", metavar="NAME", help="Only this namespace.")
@click.option("--room", metavar="ROOM", help="Only sessions in this room.")
@click.option("--user", metavar="USER", help="Only this user: ENTRY:SUB, or the subject alone.")
@click.option("--search", metavar="TEXT", help="Only what has this text in a name.")
@click.option("--rooms", "by_room", is_flag=True, help="List the rooms with their members' number instead.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="The most to list.")
@format_option
@click.pass_context
def sessions(
    context: click.Context,
    /,
    socket_path: str | None,
    config: str | None,
    format_: Format,
    *,
    limit: int,
    by_room: bool,
    **selection: str | None,
) -> None:
    """Show who is connected: user, rooms, address and end of each session."""
    what = "rooms" if by_room else "sessions"
    asked = {name: value for name, value in sorted(selection.items()) if value is not None}
    if by_room and "user" in asked:
        raise click.UsageError("`--rooms` lists rooms, which have no `--user`: leave one of the two out")
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None and len(found) < limit:
        query = urlencode({**asked, "limit": min(_PAGE, limit - len(found)), "after": after})
        code, answer = ask_daemon("GET", f"/admin/{what}?{query}", socket_path=socket_path, config=config)
        if code != OK:
            click.echo(f"error: {answer['error']['message']}", err=True)
            context.exit(Exit.ERRORS)
        found += answer[what]
        after = answer["next"]
    if format_ == "json":
        print_json({what: found, "more": after is not None})
        return
    rows = [_list_room(room) for room in found] if by_room else [_list_session(each) for each in found]
    for line in align(rows):
        click.echo(line)
    click.echo(
        format_count(len(found), what.removesuffix("s")) + (" and more" if after is not None else ""),
        err=True,
    )


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the rows as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _list_session(session: Mapping[str, Any]) -> list[str]:
    user = session["user"]
    rooms = [_clean(room) for room in session["rooms"]]
    more = [f"and {len(rooms) - _SHOWN_ROOMS} more"] if len(rooms) > _SHOWN_ROOMS else []
    return [
        session["namespace"],
        "(no token)" if user is None else _clean(f"{user['issuer']}:{user['sub']}"),
        session["session"],
        session["address"] or "unix",
        "away" if session["parked"] else _format_end(session["expires"]),
        ", ".join([*rooms[:_SHOWN_ROOMS], *more]) or "(no room)",
    ]


def _list_room(room: Mapping[str, Any]) -> list[str]:
    return [
        room["namespace"],
        _clean(room["room"]),
        format_count(room["members"], "member"),
        room["template"],
    ]


def _format_end(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "no end"
    end = datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone()
    return f"until {end.strftime('%H:%M:%S')}"


def _clean(text: str) -> str:
    """Return what a client or a provider chose, without what moves a cursor."""
    short = shorten(text)
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in short
    )
