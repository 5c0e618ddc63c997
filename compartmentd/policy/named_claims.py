"""The claims that a policy names: what a session keeps of its token at hand, while all others are packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compartmentd.policy.model import Claim, Event, Policy, Rule
from compartmentd.policy.rules.traverse import walk_rule


def collect_claim_names(policy: Policy) -> tuple[str, ...]:
    """Return the names of the top-level claims that a policy's rules and auto-joins read, sorted."""
    names = {_first(part) for rule in _iter_rules(policy) for part in walk_rule(rule) if type(part) is Claim}
    for namespace in policy.namespaces.values():
        for room in namespace.rooms:
            if room.auto_join is not None:
                names.update(path[0] for _, path in room.auto_join.claims)
    return tuple(sorted(names))


def _first(claim: Claim) -> str:
    (name,) = claim.path[0]  # the first item has no placeholders
    return name


def _iter_rules(policy: Policy) -> Iterator[Rule]:
    yield from policy.rules.values()
    yield policy.admin_access
    for namespace in policy.namespaces.values():
        yield from (namespace.connect, namespace.publish)
        yield from (namespace.api.read, namespace.api.publish, namespace.api.manage)
        yield from _iter_event_rules(namespace.events)
        for room in namespace.rooms:
            yield from (room.join, room.publish)
            yield from _iter_event_rules(room.events)


def _iter_event_rules(events: Mapping[str, Event]) -> Iterator[Rule]:
    yield from (event.publish for event in events.values() if event.publish is not None)
