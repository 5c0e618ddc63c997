"""A policy made ready to decide: with its dispatch, and with what the rules need to know of each other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from compartmentd.names import NamespaceName
from compartmentd.policy.model import Policy, RoomTemplate
from compartmentd.policy.rules.combinators import CompiledRules
from compartmentd.policy.rules.traverse import collect_names, find_names_with_member_of, has_member_of
from compartmentd.policy.templates.cache import RoomCache
from compartmentd.policy.templates.dispatch import Dispatch, run_to_end
from compartmentd.policy.templates.matching import Match

_SLICE = 100
"""Templates or rules looked through between two pauses."""


class Ruleset:
    """Immutable once built, but for what it keeps at hand, which changes no answer; made by `build` or `of`."""

    __slots__ = ("_auto_joined", "_dependent", "compiled_rules", "policy", "rooms")

    def __init__(
        self,
        policy: Policy,
        compiled_rules: CompiledRules,
        dispatch: Mapping[NamespaceName, Dispatch],
        behind: frozenset[tuple[NamespaceName, str]],
        auto_joined: Mapping[NamespaceName, Sequence[RoomTemplate]],
    ) -> None:
        self.policy = policy
        self.compiled_rules = compiled_rules
        """The policy's rules, ready to be judged."""
        self.rooms = RoomCache(dispatch)
        """The rooms of its templates."""
        self._dependent = behind
        self._auto_joined = auto_joined

    @classmethod
    def build_in_slices(cls, policy: Policy) -> Generator[None, None, Ruleset]:
        """Build in slices: yields about every millisecond, and returns the ruleset."""
        uses = {}
        for count, (name, rule) in enumerate(policy.rules.items()):
            uses[name] = collect_names(rule)
            if count % _SLICE == 0:
                yield
        named = find_names_with_member_of(policy.rules)
        yield
        dispatch, behind = {}, set()
        auto_joined: dict[NamespaceName, list[RoomTemplate]] = {name: [] for name in policy.namespaces}
        for name, namespace in policy.namespaces.items():
            dispatch[name] = yield from Dispatch.build_in_slices(namespace.rooms)
            for count, template in enumerate(namespace.rooms):
                if has_member_of(template.join, named):
                    behind.add((name, template.name))
                if template.auto_join is not None:
                    auto_joined[name].append(template)
                if count % _SLICE == 0:
                    yield
        return cls(policy, CompiledRules(policy.rules, uses), dispatch, frozenset(behind), auto_joined)

    @classmethod
    def build(cls, policy: Policy) -> Ruleset:
        """Build at once."""
        return run_to_end(cls.build_in_slices(policy))

    def iter_parts(self) -> Iterator[object]:
        """Yield what it is made of, as far as there may be very much of it."""
        yield from self.rooms.iter_parts()
        yield from self.compiled_rules.iter_parts()

    def find(self, namespace: NamespaceName, room: str) -> Match | None:
        """Return the template that has this room, with its values, or `None`: also for no such namespace."""
        found = self.rooms.find(namespace, room)
        return None if found is None else found.match

    def depends_on_membership(self, namespace: NamespaceName, template: RoomTemplate) -> bool:
        """Tell whether the template's join rule asks for membership in another room."""
        return (namespace, template.name) in self._dependent

    def list_auto_joined(self, namespace: NamespaceName) -> Sequence[RoomTemplate]:
        """Return the namespace's templates with `auto_join`, in the order of the files."""
        return self._auto_joined.get(namespace, ())
