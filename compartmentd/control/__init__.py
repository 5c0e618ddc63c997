"""The control plane: every generation, revocations, and the requests of administrators.

How a generation comes into force, the first one (`cause` "start") and each later one alike:

    files ──▶ Compiler ──▶ Loaded ─┐       GenerationBuilder fills one Candidate step by step: compile, compare
    certificate ───────────────────┼─▶ Candidate ──▶ Generation    what needs a restart, read the certificate and
    keys of files, fetched keys ───┘       the keys. A problem that is an error refuses it: nothing has changed.

    Reloader      orders reloads one at a time; requests that come meanwhile share one more
        1. swaps the snapshot: from here on everything is decided by it, and nothing can be taken back
        2. subscriber.adopt(generation), for each part of the daemon in the order of `daemon.run`
        3. judges every live session, then reports

Reloads are ordered by `FileFollower` (a file changed), `take_in_fetched_keys` (a provider's keys changed), SIGHUP,
and administrators. The reloader knows none of them, and no part is handed a callback into its owner: the daemon
makes the parts, and subscribes those that follow what is in force.
"""
