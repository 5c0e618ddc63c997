"""A policy made ready to decide: with its dispatch, and with what the rules need to know of each other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence

from compartmentd.names import NamespaceName
from compartmentd.policy.model import Policy, RoomTemplate
from compartmentd.policy.rules.combinators import CompiledRules
from compartmentd.policy.rules.traverse import asks_membership, names_used, names_with_member_of
from compartmentd.policy.templates.cache import Rooms
from compartmentd.policy.templates.dispatch import Dispatch, run
from compartmentd.policy.templates.matching import Match

_SLICE = 100
"""Templates or rules looked through between two pauses."""


class Ruleset:
    """Immutable once built, but for what it keeps at hand, which changes no answer; made by `build` or `of`."""

    __slots__ = ("_auto_joined", "_behind", "book", "policy", "rooms")

    def __init__(
        self,
        policy: Policy,
        book: CompiledRules,
        dispatch: Mapping[NamespaceName, Dispatch],
        behind: frozenset[tuple[NamespaceName, str]],
        auto_joined: Mapping[NamespaceName, Sequence[RoomTemplate]],
    ) -> None:
        self.policy = policy
        self.book = book
        """The policy's rules, ready to be judged."""
        self.rooms = Rooms(dispatch)
        """The rooms of its templates."""
        self._behind = behind
        self._auto_joined = auto_joined

    @classmethod
    def build(cls, policy: Policy) -> Generator[None, None, Ruleset]:
        """Build in slices: yields about every millisecond, and returns the ruleset."""
        uses = {}
        for count, (name, rule) in enumerate(policy.rules.items()):
            uses[name] = names_used(rule)
            if count % _SLICE == 0:
                yield
        named = names_with_member_of(policy.rules)
        yield
        dispatch, behind = {}, set()
        auto_joined: dict[NamespaceName, list[RoomTemplate]] = {name: [] for name in policy.namespaces}
        for name, namespace in policy.namespaces.items():
            dispatch[name] = yield from Dispatch.build(namespace.rooms)
            for count, template in enumerate(namespace.rooms):
                if asks_membership(template.join, named):
                    behind.add((name, template.name))
                if template.auto_join is not None:
                    auto_joined[name].append(template)
                if count % _SLICE == 0:
                    yield
        return cls(policy, CompiledRules(policy.rules, uses), dispatch, frozenset(behind), auto_joined)

    @classmethod
    def of(cls, policy: Policy) -> Ruleset:
        """Build at once."""
        return run(cls.build(policy))

    def parts(self) -> Iterator[object]:
        """Yield what it is made of, as far as there may be very much of it."""
        yield from self.rooms.parts()
        yield from self.book.parts()

    def find(self, namespace: NamespaceName, room: str) -> Match | None:
        """Return the template that has this room, with its values, or `None`: also for no such namespace."""
        found = self.rooms.find(namespace, room)
        return None if found is None else found.match

    def behind_a_room(self, namespace: NamespaceName, template: RoomTemplate) -> bool:
        """Tell whether the template's join rule asks for membership in another room."""
        return (namespace, template.name) in self._behind

    def auto_joined(self, namespace: NamespaceName) -> Sequence[RoomTemplate]:
        """Return the namespace's templates with `auto_join`, in the order of the files."""
        return self._auto_joined.get(namespace, ())
