"""The table of log events: their stable names, meanings and fields.

`docs/reference/log-events.md` is generated from it, by `make reference`.
"""

from __future__ import annotations

EVENTS: dict[str, tuple[str, str]] = {
    # Life of the process
    "ready": ("it listens and accepts clients", "listen, admin"),
    "stopping": (
        "it has been asked to stop; `connections` are closed within `seconds`",
        "connections, seconds",
    ),
    "stopped": ("it has shut down cleanly", ""),
    "part_failed": ("a part of the daemon failed; it stops", "exception"),
    "tracing_unavailable": ("traces are configured, but the extra that exports them is not installed", ""),
    "self_check_failed": ("its self-check failed, so the watchdog gets no keep-alive", ""),
    "notify_failed": ("the service manager could not be notified", ""),
    # Configuration
    "reloaded": (
        "a new generation is in force, and every session has been re-evaluated under it",
        "cause, seconds, judged, evicted_sessions, evicted_memberships",
    ),
    "reload_waits": ("a changed file is open for writing; it is read when that ends", "files"),
    "reload_unchanged": ("a reload found nothing new", "cause"),
    "reload_refused": ("a reload was refused; the generation in force stays", "cause"),
    "problem": ("a problem in the configuration, with file, line and column", "code, help"),
    "compiler_failed": ("the compiling process ended without a result", "status, words"),
    "watch_degraded": ("file events are not available, so files are polled", ""),
    "last_good": ("the daemon started on the last accepted configuration, because the file has errors", ""),
    "last_good_missing": ("there is no stored configuration to start on", ""),
    "last_good_left": ("the file has no errors any more, and is in force", ""),
    "history_damaged": ("a stored configuration cannot be read", ""),
    "history_not_kept": ("an accepted configuration could not be stored", ""),
    # Keys
    "keys_fetched": (
        "the keys of an entry were fetched, and are others than before, or there again",
        "entry, keys, added, removed, failures_before",
    ),
    "key_left_out": ("a key of a fetched set cannot be used", "entry, code"),
    "keys_not_fetched": (
        "fetching keys failed; logged after 1, 2, 4, 8 … attempts",
        "entry, url, failures, retry_in",
    ),
    "keys_dropped": (
        "keys could not be renewed for so long that they are not used any more",
        "entry, failures, error",
    ),
    "key_fetch_failed": ("fetching keys failed because of a defect", "entry, exception"),
    "key_waiter_failed": (
        "a request that waited for a key could not be answered, because of a defect",
        "exception",
    ),
    # Limits
    "limit_observed": (
        "a limit would have refused a request that was let through, since `limits.mode` is `observe`",
        "namespace, limit, subject",
    ),
    # Revocation
    "logged_out": ("a provider reported a logout, of a session or of a subject", "entry, of"),
    "logout_refused": (
        "a report of a logout was refused; `untold` others were omitted before it",
        "reason, untold",
    ),
    "state_not_saved": ("the state directory could not be written", "error"),
    # Decisions
    "connect_refused": (
        "a CONNECT was refused; to what is not declared, `namespace` is `(undeclared)` and `name` what was named",
        "DECISION, address, name",
    ),
    "connect_allowed": ("a session began", "DECISION, address"),
    "join_refused": ("a join was refused", "DECISION, room"),
    "join_allowed": ("a session joined a room", "DECISION, room"),
    "auto_join_allowed": ("a session was auto-joined to a room", "DECISION, room"),
    "publish_refused": ("a message was refused", "DECISION, room, name"),
    "publish_allowed": (
        "a session may publish an event to a room; messages under a remembered permission are not logged again",
        "DECISION, room, name",
    ),
    "leave_refused": ("a malformed or too frequent leave", "DECISION"),
    "event_refused": ("an event that is not a request", "DECISION, name"),
    "refresh_refused": ("a newer token was refused; the session continues with the old one", "DECISION"),
    "refresh_allowed": ("a session has a newer token", "DECISION"),
    "judge_refused": ("a live session, or its membership of `room`, is no longer allowed", "DECISION, room"),
    "administer_refused": (
        "a token was refused at the admin API, since it does not satisfy `server.admin_access`",
        "DECISION",
    ),
    "administer_allowed": ("a token was let in at the admin API", "DECISION"),
    "session_ended": ("the server ended a session", "DECISION"),
    # Requests
    "request": (
        "a request to the public listener was refused",
        "method, path, status, address, seconds, reason",
    ),
    "request_failed": ("a request failed because of a defect", "exception"),
    "admin_request": ("a request to an admin listener", "method, path, status, address, seconds"),
    "admin_request_failed": ("a request to an admin listener failed because of a defect", "exception"),
    "connection_cut": (
        "a connection was closed for what its client did or did not do; `connections_cut` counts the same reasons",
        "reason, address",
    ),
    "connection_failed": ("a connection was closed because of a defect", "exception"),
    "address_is_full": (
        "an address has reached `server.connections_per_address`; a proxy has to be named in `trusted_proxies`",
        "address",
    ),
    "memory_is_kept": (
        "the C library cannot give memory back after a peak: the process stays as large as it was",
        "",
    ),
    "cannot_accept": ("no connection can be accepted for a moment: descriptors have run out", ""),
    "timer_failed": ("a timer's callback failed because of a defect", "exception"),
    "session_not_judged": (
        "a session was ended because it could not be re-evaluated, because of a defect",
        "exception",
    ),
    "feed_reader_failed": ("a reader of the live decisions was dropped", ""),
    "lines_left_out": (
        "so many lines of a kind were not written, to keep the log from being flooded",
        "kind, count",
    ),
}
"""By name: what happened, and the fields of the line. `DECISION` stands for the fields of all decisions."""
