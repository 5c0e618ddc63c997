"""The page of the HTTP resources: paths, methods and access come from the applications, the text from here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tornado.routing import PathMatches
from tornado.web import RequestHandler

from compartmentd.http.admin.base import HEADERS, AdminHandler, Site
from compartmentd.http.admin.server import make_application
from compartmentd.http.admin.subscribers import Audience
from compartmentd.http.logout import PATH as LOGOUT
from compartmentd.protocol import engineio
from compartmentd.protocol.http1 import MAX_HEAD
from compartmentd.telemetry.tracing import NoTracing
from docs.generate.markdown import code, codes, heading, join_page, table


class Route(NamedTuple):
    """A resource of an admin listener as the application has it."""

    path: str
    handler: type[AdminHandler]

    @property
    def methods(self) -> list[str]:
        """The methods that the resource takes."""
        base = RequestHandler
        return [
            one
            for one in ("GET", "HEAD", "POST")
            if getattr(self.handler, one.lower()) is not getattr(base, one.lower())
        ]

    @property
    def access(self) -> str:
        """Who may ask for it."""
        if self.handler.socket_only:
            return "admin socket only"
        return "everyone" if self.handler.open_to_all else "administrators"


class Text(NamedTuple):
    """What a resource is for, and what it takes and answers."""

    summary: str
    detail: str = ""


TEXTS: Mapping[str, Text] = {
    "/healthz": Text("The process answers.", '`200 {"ok": true}`.'),
    "/readyz": Text(
        "Clients may be sent here.",
        '`200 {"ok": true}`, with `keys_unavailable` (the entries whose tokens are refused because their '
        'keys cannot be fetched) and `"last_good": true` (an earlier configuration is served) where they '
        "apply. `503` with the reason while the server starts, drains or stops.",
    ),
    "/metrics": Text(
        "All [metrics](metrics.md).", "The text format of Prometheus. No room, user or address is in it."
    ),
    "/admin/reload": Text(
        "Reloads the configuration and the keys, as `compartmentd reload` does.",
        "Answers when every live session has been judged: `200 {ok, changed, generation, digest, judged, "
        "evicted: {sessions, memberships}, problems}`. Where nothing had changed, `taken_in` tells the "
        "reload that took the files in. `422` with `problems` if the files were refused; then nothing has "
        "changed.",
    ),
    "/admin/status": Text(
        "What is in force, as `compartmentd status` shows it.",
        "`{version, generation, digest, started, last_reload, last_good, draining, tls, connections, "
        "sessions, rooms, namespaces, keys}`. Times are milliseconds since the epoch. `keys` has, for each entry "
        "whose keys are fetched, `{keys, age, stale, next, fetches, failures, error, requests: [{url, answer}], "
        "unknown_kids}`: `age` and `next` in seconds, `requests` those of the last fetch, a URL without its query.",
    ),
    "/admin/token": Text(
        "A token for the admin listeners on TCP, good for 15 minutes, as `compartmentd admin-token` prints it.",
        "`{token, expires}`. Only on the admin socket, so that no token can prolong itself.",
    ),
    "/admin/revoke": Text(
        "Revokes tokens, as `compartmentd revoke` does.",
        "Takes `{issuer, sub | sid | jti, before?}`: the entry's name or its `issuer`, one of the three, "
        "and the latest time of issue that is meant (milliseconds since the epoch; by default now). Answers "
        "when the sessions have ended: `200 {ok, sessions, before, lasting}`. `lasting` says whether it "
        "outlives a restart. `422` for an issuer that is not declared, `500` if the state could not be "
        "saved: the tokens are refused until a restart.",
    ),
    "/admin/sessions": Text(
        "Who is there, as `compartmentd sessions` shows it.",
        "`{sessions: [{session, namespace, user: {issuer, sub} or null, address, expires, parked, rooms}], "
        "next}`. `?namespace=`, `room=`, `user=` (`ENTRY:SUB` or the subject alone) and `search=` "
        "(a part of a name) select; "
        "`limit=` is 1 to 1,000, by default 100, and `after=` takes the `next` of the page before. No claim and no "
        "token is in it.",
    ),
    "/admin/rooms": Text(
        "The rooms with a member.",
        "`{rooms: [{namespace, room, template, members}], next}`, selected and paged as the sessions are, but "
        "not by `user=`.",
    ),
    "/admin/decisions": Text(
        "Every decision as it is made.",
        "Server-sent events, until the listener leaves or its token ends. `503` if too many listen already.",
    ),
    "/admin/dev/token": Text(
        "Mints a token, with `serve --dev` only.", "Takes `{claims, entry?}`, answers `{token, …}`."
    ),
    "/admin/dev/playground": Text("What the playground shows of the configuration, with `serve --dev` only."),
    "/admin/dev/excerpt": Text(
        "Lines of a configuration file, with `serve --dev` only.",
        "`?file=…&line=…&end_line=…` answers `{file, line, lines}`; no other file can be read.",
    ),
    "/": Text("Leads to the playground, with `serve --dev` only."),
    "/playground": Text("The playground, with `serve --dev` only."),
    "/playground/FILE": Text("The files of the playground, with `serve --dev` only."),
}
"""By path. INVARIANT: every resource of the admin listeners has a text, and no other (held by a test)."""

_REFUSALS = (
    engineio.UNKNOWN_TRANSPORT,
    engineio.UNKNOWN_SID,
    engineio.BAD_METHOD,
    engineio.BAD_REQUEST,
    engineio.FORBIDDEN,
    engineio.BAD_VERSION,
)


def admin_routes() -> Iterator[Route]:
    """Yield the resources of the admin listeners, in the application's order."""
    nothing: Any = None  # the routes are looked at, and nothing is asked
    application = make_application(
        Site(nothing, nothing, None, trusted=True, audience=Audience(), files={}, tracing=NoTracing())
    )
    for rule in application.wildcard_router.rules:
        if isinstance(rule.matcher, PathMatches):
            path = rule.matcher.regex.pattern.rstrip("$").replace("([a-z0-9.-]+)", "FILE")
            yield Route(path, rule.target)


def page() -> str:
    """Return the page of the HTTP resources."""
    return join_page(_lines())


def _lines() -> Iterator[str]:
    yield "# HTTP"
    yield from ("", heading(2, "For clients", "public"), "")
    yield "The listeners of `server.listen`, by default 127.0.0.1:8000, serve two paths and nothing else."
    yield from ("", heading(3, f"{code('/socket.io/')}", "socket-io"), "")
    yield "Engine.IO version 4, by HTTP long-polling and WebSocket; `server.path` names another path."
    yield "Origins, and the answers to a browser's preflight requests, follow `server.origins`. A request"
    yield "that cannot be served gets the answer that Engine.IO has for it:"
    yield ""
    yield from table(
        ["status", "body"],
        [[str(refusal.status), code(refusal.body.decode())] for refusal in _REFUSALS],
    )
    yield ""
    yield "A limit of the server (`connections`, `connections_per_address`, `connect_rate`), and a"
    yield "shutdown, answers `503` with `Retry-After`."
    yield ""
    yield "Requests that cannot be read are answered, too, before their connection is closed: `431` for a head"
    yield f"of more than {MAX_HEAD // 1024} KiB, `408` for a request that does not come in time, `413` for a body"
    yield "beyond the limit."
    yield from ("", heading(3, code(LOGOUT), "backchannel-logout"), "")
    yield "`POST`, for identity providers: OpenID Connect Back-Channel Logout 1.0. A form with one"
    yield "`logout_token` of an entry that has `logout`. `200` when every session that it ends has ended,"
    yield "`400` for every refusal, `429` after many refused requests from one address, `404` if no entry"
    yield "has `logout`."
    yield from ("", heading(2, "For administrators", "admin"), "")
    yield "The admin socket, which is always there, and the listeners of `server.admin`. Whoever may open"
    yield "the socket is an administrator. Over TCP a request needs `Authorization: Bearer TOKEN`: a token"
    yield "that `compartmentd admin-token` prints, or one of an entry with `use: [admin]` that satisfies"
    yield "`server.admin_access`. The Host must be an IP address, `localhost` or one of"
    yield "`server.admin_hosts`, and a page of another origin is refused."
    yield ""
    yield from table(
        ["path", "methods", "for", "what it is"],
        [
            [_link(route.path), codes(route.methods), route.access, _summary(route)]
            for route in admin_routes()
        ],
    )
    for route in admin_routes():
        text = TEXTS[route.path]
        if text.detail:
            yield from ("", heading(3, code(route.path), _anchor(route.path)), "")
            yield f"{codes(route.methods)} · {route.access}"
            yield from ("", f"{text.summary} {text.detail}")
    yield from ("", heading(3, "Errors", "errors"), "")
    yield 'An error is `{"ok": false, "error": {"code": "…", "message": "…"}}` with a status of 400 and'
    yield "above. Every answer has"
    yield f"the headers {codes(HEADERS)}."


def _summary(route: Route) -> str:
    return TEXTS[route.path].summary


def _anchor(path: str) -> str:
    return path.strip("/").lower().replace("/", "-") or "root"


def _link(path: str) -> str:
    return f"[{code(path)}](#{_anchor(path)})" if TEXTS[path].detail else code(path)
