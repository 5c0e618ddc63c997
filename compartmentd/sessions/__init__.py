"""The connected sessions, and what happens to them: state without I/O, event loop or clock of its own.

The server hands over packets; the sessions decide by the snapshot in force, change their state, and answer through
the peers that they were given. Whatever comes from outside (time, ids, keys, answers) comes through
`environment.Environment`, so that a test owns all of it.

The public face, which other packages use:

    hub.Hub                   the application that the server serves, and what the daemon asks of it
    environment.Environment   the services that a hub is given
    registry.Registry         the sessions, rooms and memberships, to be read
    fanout.Fanout             sends a message to a room or a namespace, with or without a sending session
    room_store.RoomStore      what is known of a room beside its live members here
    observer.SessionObserver  is told who connects, joins, leaves
    audit.AuditLog            takes the records of decisions
    revocations.Revocation    names tokens that no longer count

Inside, `core.Core` is the one way to a decision. `connect`, `join`, `publish` and `reevaluate` handle one kind of
event each, and `pending` keeps the events that wait for answers.
"""
