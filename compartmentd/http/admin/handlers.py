"""The resources of the admin listeners, apart from streams and pages."""

from __future__ import annotations

from typing import Any

import msgspec

from compartmentd.control.requests import RevokeRequest
from compartmentd.errors import UsageError
from compartmentd.http.admin.base import AdminError, AdminHandler
from compartmentd.sessions.listing import MOST, Query


class HealthHandler(AdminHandler):
    """`/healthz`: the process answers."""

    open_to_all = True

    def get(self) -> None:
        """Answer 200."""
        self.send_json({"ok": True})

    head = get


class ReadinessHandler(AdminHandler):
    """`/readyz`: whether clients should be sent here."""

    open_to_all = True

    def get(self) -> None:
        """Answer 200, with the entries whose tokens are refused because their keys are missing, or 503 and why."""
        reason = self.site.administration.find_obstacle()
        lacking = sorted(self.site.administration.lacking_keys)
        if reason is None:
            stale = {"last_good": True} if self.site.administration.on_last_good else {}
            self.send_json({"ok": True, **({"keys_unavailable": lacking} if lacking else {}), **stale})
        else:
            self.send_json({"ok": False, "error": {"code": "unready", "message": reason}}, 503)

    head = get


class ReloadHandler(AdminHandler):
    """`/admin/reload`."""

    async def post(self) -> None:
        """Reload, and answer when it is done: 422 if the files were refused and nothing changed."""
        self.require_no_body()
        outcome = await self.site.administration.reload()
        self.send_json(outcome, 200 if outcome["ok"] else 422)


class StatusHandler(AdminHandler):
    """`/admin/status`."""

    def get(self) -> None:
        """Answer what is in force, and how much of it is used."""
        self.send_json(self.site.administration.build_status())


class SessionsHandler(AdminHandler):
    """`/admin/sessions`."""

    async def get(self) -> None:
        """Answer a page of the sessions."""
        self.send_json(await self.site.administration.list_sessions(self.read_query()))

    def read_query(self) -> Query:
        """Return which items are wanted, by the query of the request."""
        given: dict[str, Any] = {}
        for name, values in self.request.query_arguments.items():
            if len(values) != 1:
                raise AdminError(400, "invalid_query", f"`{name}` may be given once")
            given[name] = self.get_query_argument(name, strip=False)
        try:
            query = msgspec.convert(given, Query, strict=False)
        except msgspec.ValidationError as error:
            raise AdminError(400, "invalid_query", f"the query has not the right form: {error}") from None
        if not 1 <= query.limit <= MOST:
            raise AdminError(400, "invalid_query", f"`limit` is 1 to {MOST}")
        return query


class RoomsHandler(SessionsHandler):
    """`/admin/rooms`."""

    async def get(self) -> None:
        """Answer a page of the rooms."""
        self.send_json(await self.site.administration.list_rooms(self.read_query()))


class MetricsHandler(AdminHandler):
    """`/metrics`: open, since scrapers have no token; it names no room, no user and no address."""

    open_to_all = True

    def get(self) -> None:
        """Answer all metrics."""
        self.set_header("Content-Type", METRICS_TYPE)
        self.finish(self.site.metrics.as_text())


class AdminTokenHandler(AdminHandler):
    """`/admin/token`: on the unix socket alone, so that no token can prolong itself."""

    socket_only = True

    def post(self) -> None:
        """Answer a fresh token for the TCP listeners."""
        self.require_no_body()
        self.send_json(self.site.administration.issue_admin_token())


class RevokeHandler(AdminHandler):
    """`/admin/revoke`."""

    async def post(self) -> None:
        """Revoke what `{issuer, sub | sid | jti, before?}` names; answers when it is done and kept."""
        try:
            asked = msgspec.convert(self.read_json_body(), RevokeRequest)
        except msgspec.ValidationError as error:
            raise AdminError(400, "invalid_body", f"the body has not the right form: {error}") from None
        try:
            outcome = await self.site.administration.revoke(asked)
        except UsageError as error:
            raise AdminError(422, "not_revoked", str(error)) from None
        self.send_json(outcome, 200 if outcome["ok"] else 500)


class DevelopmentTokenHandler(AdminHandler):
    """`/admin/dev/token`."""

    def post(self) -> None:
        """Mint a token for `{claims, entry?}`."""
        development = self.development
        body = self.read_json_body()
        claims, entry = body.get("claims"), body.get("entry")
        known = body.keys() <= {"claims", "entry"}
        if not known or not isinstance(claims, dict) or not isinstance(entry, str | None):
            raise AdminError(400, "invalid_body", "the body must be `{claims: {…}, entry?: NAME}`")
        try:
            self.send_json(development.mint(entry, claims))
        except UsageError as error:
            raise AdminError(422, "not_minted", str(error)) from None


class PlaygroundHandler(AdminHandler):
    """`/admin/dev/playground`."""

    def get(self) -> None:
        """Answer the configuration in force as the page shows it."""
        self.send_json(self.development.describe_playground())


class ExcerptHandler(AdminHandler):
    """`/admin/dev/excerpt?file=…&line=…&end_line=…`."""

    def get(self) -> None:
        """Answer `{file, line, lines}`: these lines of a configuration file, and of no other file."""
        development = self.development
        file, line = self.get_argument("file", ""), self._read_number("line")
        end_line = self._read_number("end_line")
        if not 1 <= line <= end_line < line + MOST_LINES:
            raise AdminError(400, "invalid_query", f"1 to {MOST_LINES} lines can be asked for")
        lines = development.read_excerpt(file, line, end_line)
        if lines is None:
            raise AdminError(404, "not_found", "this is no file of the configuration in force")
        self.send_json({"file": file, "line": line, "lines": list(lines)})

    def _read_number(self, name: str) -> int:
        text: Any = self.get_argument(name, "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise AdminError(400, "invalid_query", f"`{name}` must be a line number")
        return int(text)


class MissingHandler(AdminHandler):
    """Everything else. It is open, since a 404 tells nothing about the names that exist."""

    open_to_all = True

    def prepare(self) -> None:
        """Refuse."""
        super().prepare()
        raise AdminError(404, "not_found", "there is no such resource")


METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus, which every scraper takes."""

MOST_LINES = 200
"""Lines of one excerpt."""
