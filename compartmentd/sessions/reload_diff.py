"""Finds the parts that a reload left as they were: sessions that stand on nothing else need no judgement.

To judge a session takes 40 µs, to see that nothing concerns it takes 5, and most reloads change a rule or two
among thousands. What is skipped is only what was decided before, by the same rules (see `policy.fingerprint`),
about the same token of the same entry and a key that is still there, for a session of which time alone can change
nothing before its token's end:

    token        its entry is the same, its key is there, it is not expired and not revoked
    connect      the namespace's fingerprint is the same
    memberships  each room has a template with the same fingerprint as before

INVARIANT: between two judgements every membership holds by the snapshot that judged the session last. A loss
judges what stands on it at once, and what time can change is judged again at `valid_until`, which then comes before
the token's end. So a session that keeps all of the above keeps its memberships. Whatever differs in the least is
judged in full, and auto-join is always asked again, since it depends on how full rooms are.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import EntryName, NamespaceName
from compartmentd.policy.model import RoomTemplate
from compartmentd.sessions.session import Session


class ReloadDiff(msgspec.Struct, frozen=True):
    """The parts that are the same in a snapshot as in the one before it, whose number is `before`."""

    before: int
    snapshot: Snapshot
    entries: frozenset[EntryName]
    namespaces: frozenset[NamespaceName]

    @classmethod
    def compare(cls, old: Snapshot, new: Snapshot) -> ReloadDiff:
        """Compare two snapshots, of which one follows the other."""
        # By these and not by the entries: to Python `require: {level: 1}` and `{level: true}` are equal.
        before, after = old.keys.fingerprints, new.keys.fingerprints
        were, are = old.configuration.policy.namespaces, new.configuration.policy.namespaces
        return cls(
            before=old.generation,
            snapshot=new,
            entries=frozenset(name for name, rules in before.items() if after.get(name) == rules),
            namespaces=frozenset(
                name
                for name in were
                if name in are and were[name].fingerprint and were[name].fingerprint == are[name].fingerprint
            ),
        )

    def find_templates(self, session: Session) -> Sequence[RoomTemplate] | None:
        """Return the templates that the rooms of a session have now, in their order, where nothing has changed.

        That is for sessions whose `token` counts as before; `None` where the session is to be judged.
        """
        name = session.namespace.name
        if name not in self.namespaces or session.valid_until != session.principal.ends_at:
            return None
        find = self.snapshot.rules.find
        found = []
        for membership in session.memberships.values():
            match = find(name, membership.room.name)
            known = membership.template.fingerprint
            if match is None or not known or match.template.fingerprint != known:
                return None
            found.append(match.template)
        return found

    def has_same_token(self, session: Session, now: float) -> bool:
        """Return whether the session's token counts as it did when it was judged by the snapshot before.

        `now` is wall time in seconds. Whether the token was revoked is for the caller to ask.
        """
        verified, ends_at = session.verified, session.principal.ends_at
        if session.generation != self.before or (ends_at is not None and ends_at <= now):
            return False
        return verified is None or (
            verified.subject.entry in self.entries
            and self.snapshot.keys.has_key(verified.subject.entry, verified.thumbprint, verified.algorithm)
        )
