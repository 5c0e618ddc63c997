"""The events of the log: the one table of their names, which are stable, and what they say.

`docs/reference/log-events.md` is generated from it, by `make reference`.
"""

from __future__ import annotations

EVENTS: dict[str, tuple[str, str]] = {
    # Life of the process
    "ready": ("it listens, and clients may come", "listen, admin"),
    "stopping": (
        "it was told to stop; so many connections are closed within so long",
        "connections, seconds",
    ),
    "stopped": ("it has ended in order", ""),
    "part_failed": ("a part of the daemon failed; it stops", "exception"),
    "tracing_unavailable": ("traces are asked for, and the extra that sends them is not installed", ""),
    "self_check_failed": ("its check of itself failed, so the watchdog is not told that all is well", ""),
    "notify_failed": ("the service manager could not be told something", ""),
    # Configuration
    "reloaded": (
        "another generation is in force, and every session has been judged by it",
        "cause, seconds, judged, evicted_sessions, evicted_memberships",
    ),
    "reload_unchanged": ("a reload found nothing new", "cause"),
    "reload_refused": ("a reload was refused; what was in force stays", "cause"),
    "problem": ("a problem of the configuration, with file, line and column", "code, help"),
    "compiler_failed": ("the process that compiles ended without a result", "status, words"),
    "watch_degraded": ("files can be followed by looking at them now and then only", ""),
    "last_good": ("the daemon started on an accepted configuration of before: the file does not check", ""),
    "last_good_missing": ("no accepted configuration of before can be started on", ""),
    "last_good_left": ("the file checks again, and is in force", ""),
    "history_damaged": ("a kept configuration cannot be read", ""),
    "history_not_kept": ("an accepted configuration could not be kept", ""),
    # Keys
    "keys_fetched": (
        "the keys of an entry were fetched, and are others than before, or there again",
        "entry, keys, added, removed, failures_before",
    ),
    "key_left_out": ("a key of a fetched set cannot be used", "entry, code"),
    "keys_not_fetched": (
        "fetching keys failed; told after 1, 2, 4, 8 … attempts",
        "entry, failures, retry_in",
    ),
    "keys_dropped": (
        "keys could not be renewed for so long that they are not used any more",
        "entry, failures, error",
    ),
    "key_fetch_failed": ("fetching keys failed by a mistake of ours", "entry, exception"),
    "key_waiter_failed": ("who waited for a key could not be answered, by a mistake of ours", "exception"),
    # Revocation
    "logged_out": ("a provider reported a logout, of a session or of a subject", "entry, of"),
    "logout_refused": ("a report of a logout was refused; `untold` others before it", "reason, untold"),
    "state_not_saved": ("the state directory could not be written", "error"),
    # Decisions
    "connect_refused": (
        "a CONNECT was refused; to what is not declared, `namespace` is `(undeclared)` and `name` what was named",
        "DECISION, address, name",
    ),
    "connect_allowed": ("a session began", "DECISION, address"),
    "join_refused": ("a join was refused", "DECISION, room"),
    "join_allowed": ("a session joined a room", "DECISION, room"),
    "auto_join_allowed": ("a session was put into a room", "DECISION, room"),
    "publish_refused": ("a message was refused", "DECISION, room, name"),
    "publish_allowed": (
        "a session may publish an event to a room; messages under a remembered permission are not told again",
        "DECISION, room, name",
    ),
    "leave_refused": ("a malformed or too frequent leave", "DECISION"),
    "event_refused": ("an event that is no request", "DECISION, name"),
    "refresh_refused": ("a newer token was refused; the session goes on with the old one", "DECISION"),
    "refresh_allowed": ("a session has a newer token", "DECISION"),
    "judge_refused": ("a live session, or its membership of `room`, no longer holds", "DECISION, room"),
    "administer_refused": (
        "a token was refused at the admin API, since it does not satisfy `server.admin_access`",
        "DECISION",
    ),
    "administer_allowed": ("a token was let in at the admin API", "DECISION"),
    "session_ended": ("a session was ended from this side", "DECISION"),
    # Requests
    "request": ("a request to the public listener was refused", "method, path, status, address, seconds"),
    "request_failed": ("a request failed by a mistake of ours", "exception"),
    "admin_request": ("a request to an admin listener", "method, path, status, address, seconds"),
    "admin_request_failed": ("a request to an admin listener failed by a mistake of ours", "exception"),
    "connection_failed": ("a connection was closed for a mistake of ours", "exception"),
    "cannot_accept": ("no connection can be accepted for a moment: descriptors have run out", ""),
    "timer_failed": ("a deadline could not be minded, by a mistake of ours", "exception"),
    "session_not_judged": (
        "a session was ended since it could not be judged, by a mistake of ours",
        "exception",
    ),
    "feed_reader_failed": ("a reader of the live decisions was dropped", ""),
    "lines_left_out": (
        "so many lines of a kind were not written, to keep the log from being flooded",
        "kind, count",
    ),
}
"""By name: what happened, and the fields of the line. `DECISION` stands for those that all decisions have."""
