"""A policy prepared for decisions: compiled rules, room lookup, and which templates depend on membership."""

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
"""Templates or rules processed between two pauses."""


class Ruleset:
    """A policy with its compiled rules and rooms; made by `build` or `build_in_slices`.

    Immutable once built, except for its caches, which change no answer.
    """

    __slots__ = ("_auto_joined", "_dependent", "compiled_rules", "policy", "rooms")

    def __init__(
        self,
        policy: Policy,
        compiled_rules: CompiledRules,
        dispatch: Mapping[NamespaceName, Dispatch],
        dependent: frozenset[tuple[NamespaceName, str]],
        auto_joined: Mapping[NamespaceName, Sequence[RoomTemplate]],
    ) -> None:
        self.policy = policy
        self.compiled_rules = compiled_rules
        """The policy's rules, compiled on first use."""
        self.rooms = RoomCache(dispatch)
        """Finds a room's template."""
        self._dependent = dependent
        self._auto_joined = auto_joined

    @classmethod
    def build_in_slices(cls, policy: Policy) -> Generator[None, None, Ruleset]:
        """Build a ruleset in slices: yields about every millisecond, and returns the ruleset.

        Args:
            policy: A policy whose rules the compiler has checked.
        """
        uses = {}
        for count, (name, rule) in enumerate(policy.rules.items()):
            uses[name] = collect_names(rule)
            if count % _SLICE == 0:
                yield
        named = find_names_with_member_of(policy.rules)
        yield
        dispatch, dependent = {}, set()
        auto_joined: dict[NamespaceName, list[RoomTemplate]] = {name: [] for name in policy.namespaces}
        for name, namespace in policy.namespaces.items():
            dispatch[name] = yield from Dispatch.build_in_slices(namespace.rooms)
            for count, template in enumerate(namespace.rooms):
                if has_member_of(template.join, named):
                    dependent.add((name, template.name))
                if template.auto_join is not None:
                    auto_joined[name].append(template)
                if count % _SLICE == 0:
                    yield
        return cls(policy, CompiledRules(policy.rules, uses), dispatch, frozenset(dependent), auto_joined)

    @classmethod
    def build(cls, policy: Policy) -> Ruleset:
        """Build a ruleset at once, where nothing else waits for the loop."""
        return run_to_end(cls.build_in_slices(policy))

    def iter_parts(self) -> Iterator[object]:
        """Yield the parts that can be numerous, so that they can be freed a few at a time."""
        yield from self.rooms.iter_parts()
        yield from self.compiled_rules.iter_parts()

    def find(self, namespace: NamespaceName, room: str) -> Match | None:
        """Return the template that matches a room, with the values of its parameters.

        `None` if no template matches, or if there is no such namespace.
        """
        found = self.rooms.find(namespace, room)
        return None if found is None else found.match

    def depends_on_membership(self, namespace: NamespaceName, template: RoomTemplate) -> bool:
        """Return whether the template's join rule requires membership in another room (`member_of`)."""
        return (namespace, template.name) in self._dependent

    def list_auto_joined(self, namespace: NamespaceName) -> Sequence[RoomTemplate]:
        """Return the namespace's templates with `auto_join`, in file order."""
        return self._auto_joined.get(namespace, ())
