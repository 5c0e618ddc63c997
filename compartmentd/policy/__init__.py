"""The decision core: frozen values in, a decision with its reasons out. No I/O, clock, loop or logging.

The public face: `decide.decide` answers one request, `reconcile` re-evaluates a session with its memberships, and
`ruleset.Ruleset.build` prepares a policy for both. `model` holds the compiled policy, `decision` the requests and
their answers, `principal` the user, and `codes` the refusal codes that clients see.
"""
