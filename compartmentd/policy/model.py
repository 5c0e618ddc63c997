"""The policy as frozen values: what the operator declared, checked, with the span of each part.

Everything here is checked at birth by the compiler, so no later code checks it again. The values are
`msgspec` structs and not dataclasses for one reason: a policy is compiled in a child process and has to come
over to the daemon piece by piece, without pickle.

A `Text` is a string with placeholders: literals and parameter names in turn, beginning and ending with a
literal, so `"project:{p}:read"` is `("project:", "p", ":read")` and a plain string is a tuple of one.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from compartmentd.names import EntryName, NamespaceName
from compartmentd.problems import Span

Text: TypeAlias = tuple[str, ...]
"""Literals (even positions) and parameter names (odd positions) in turn."""

JsonScalar: TypeAlias = str | int | float | bool


class _Node(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A part of the policy that can be pointed at."""

    span: Span


# --- tests of a claim or parameter ---


class Filled(msgspec.Struct, frozen=True, tag=True):
    """A string value with placeholders, filled in when the rule is evaluated."""

    parts: Text


Value: TypeAlias = JsonScalar | Filled


class Equals(_Node, frozen=True, kw_only=True):
    """`equals` (one value) and `one_of` (several): of one JSON type and equal."""

    values: tuple[Value, ...]


class Matches(_Node, frozen=True, kw_only=True):
    """`matches`: the whole value, as a string, matches this RE2 pattern."""

    pattern: str


class Contains(_Node, frozen=True, kw_only=True):
    """`contains` and `contains_any`: a list's items, or an object's keys, hold one of the values."""

    values: tuple[Value, ...]


class Bound(_Node, frozen=True, kw_only=True):
    """`at_least` and `at_most`: exactly one of the two is set."""

    at_least: int | float | None = None
    at_most: int | float | None = None


class Exists(_Node, frozen=True, kw_only=True):
    """`exists`: the claim is there and not null, or it is not."""

    wanted: bool


class Moment(_Node, frozen=True, kw_only=True):
    """`is: past` or `is: future`: a NumericDate, in seconds (RFC 7519, 2), against the decision's time."""

    future: bool


Test: TypeAlias = Equals | Matches | Contains | Bound | Exists | Moment


# --- rules ---


class Public(_Node, frozen=True, kw_only=True):
    """Anyone, with or without a token."""


class Authenticated(_Node, frozen=True, kw_only=True):
    """Whoever has a valid token."""


class Nobody(_Node, frozen=True, kw_only=True):
    """No one."""


class Members(_Node, frozen=True, kw_only=True):
    """Whoever is in the room (publish only); membership itself is checked before any rule."""


class ByServer(_Node, frozen=True, kw_only=True):
    """`server`: the operator's side made the join; never a client's request."""


class Scopes(_Node, frozen=True, kw_only=True):
    """`scope`, `all_scopes` (`every` is true) and `any_scope` (`every` is false)."""

    scopes: tuple[Text, ...]
    every: bool = True


class Claim(_Node, frozen=True, kw_only=True):
    """`{claim: PATH, TEST}`; a path of one item is one top-level claim, never split."""

    path: tuple[Text, ...]
    test: Test


class Parameter(_Node, frozen=True, kw_only=True):
    """`{param: NAME, TEST}`."""

    name: str
    test: Test


class MemberOf(_Node, frozen=True, kw_only=True):
    """`{member_of: ROOM}`: this session is in that room of the namespace."""

    room: Text


class Named(_Node, frozen=True, kw_only=True):
    """`{rule: NAME}`: looked up in `Policy.rules`, and evaluated once per decision."""

    name: str


class All(_Node, frozen=True, kw_only=True):
    """`all`: every part."""

    parts: tuple[Rule, ...]


class AnyOf(_Node, frozen=True, kw_only=True):
    """`any`: at least one part."""

    parts: tuple[Rule, ...]


class Not(_Node, frozen=True, kw_only=True):
    """`not`: the part is false; not of unknown is unknown."""

    part: Rule


Rule: TypeAlias = (
    Public
    | Authenticated
    | Nobody
    | Members
    | ByServer
    | Scopes
    | Claim
    | Parameter
    | MemberOf
    | Named
    | All
    | AnyOf
    | Not
)


# --- templates ---


class CharClass(msgspec.Struct, frozen=True, array_like=True):
    """A literal character or a character class of the small pattern grammar, with how often it may stand.

    `ranges` are inclusive pairs of code points, sorted and disjoint; a negated class is stored as what it
    allows. `most` is `None` for `*` and `+`.
    """

    ranges: tuple[tuple[int, int], ...]
    least: int = 1
    most: int | None = 1


class PatternParam(_Node, frozen=True, kw_only=True):
    """A parameter that is a sequence of character classes."""

    name: str
    items: tuple[CharClass, ...]


class IntegerParam(_Node, frozen=True, kw_only=True):
    """`0|-?[1-9][0-9]{0,15}`, within bounds; `high` is `None` where the operator set no `max`."""

    name: str
    low: int = 0
    high: int | None = None


class OneOfParam(_Node, frozen=True, kw_only=True):
    """One of these strings."""

    name: str
    values: tuple[str, ...]


Param: TypeAlias = PatternParam | IntegerParam | OneOfParam


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The effective limits of a place, merged key by key; `None` means unlimited.

    Rates are events (or bytes) per second, as a float. `own_message_rate` and `own_byte_rate` are those that
    a room itself states: they count in addition to the session's.
    """

    message_size: int | None = 64 * 1024
    message_rate: float | None = 50.0
    byte_rate: float | None = None
    join_rate: float | None = 20.0
    rooms_per_session: int | None = 100
    sessions_per_user: int | None = 20
    own_message_rate: float | None = None
    own_byte_rate: float | None = None
    own_join_rate: float | None = None


class Event(_Node, frozen=True, kw_only=True):
    """An event that may be published; `schema` is the key of its payload schema in `Policy.schemas`."""

    name: str
    schema: str | None = None
    volatile: bool = False
    publish: Rule | None = None


class AutoJoin(_Node, frozen=True, kw_only=True):
    """The claim of each parameter, by parameter name; empty for a template without parameters."""

    claims: tuple[tuple[str, str], ...]


class RoomTemplate(_Node, frozen=True, kw_only=True):
    """A declared kind of room. `pattern` is the name split at its parameters, as a `Text`.

    `fingerprint` is what `policy.fingerprint` makes of what decides who may be in; empty where nobody asked for it.
    """

    name: str
    pattern: Text
    params: tuple[Param, ...]
    join: Rule
    publish: Rule
    events: dict[str, Event]
    echo: bool
    auto_join: AutoJoin | None
    capacity: int | None
    limits: Limits
    description: str = ""
    fingerprint: bytes = b""


class ApiRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator's services may do over HTTP; served once the API is built."""

    read: Rule
    publish: Rule
    manage: Rule


class Namespace(_Node, frozen=True, kw_only=True):
    """A declared namespace; `issuers` are the entries whose tokens may connect.

    `fingerprint` is what `policy.fingerprint` makes of what decides who may connect, as in a `RoomTemplate`.
    """

    name: NamespaceName
    issuers: tuple[EntryName, ...]
    connect: Rule
    publish: Rule
    events: dict[str, Event]
    api: ApiRules
    limits: Limits
    rooms: tuple[RoomTemplate, ...]
    description: str = ""
    fingerprint: bytes = b""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides: named rules, namespaces by name, and the payload schemas by key."""

    rules: dict[str, Rule]
    namespaces: dict[NamespaceName, Namespace]
    schemas: dict[str, object]
    admin_access: Rule
