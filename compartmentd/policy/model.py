"""The policy as frozen values: what the operator declared, each part with its span in the file.

The compiler checks these values when it makes them, so later code does not check them again. They are `msgspec`
structs instead of dataclasses because a policy is compiled in a child process and sent to the daemon piece by
piece, without pickle.

A `Text` is a string with placeholders: literals and parameter names alternate, with a literal at both ends. So
`"project:{p}:read"` is `("project:", "p", ":read")`, and a plain string is a tuple of one.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from compartmentd.names import EntryName, NamespaceName
from compartmentd.policy.claim_path import ClaimPath
from compartmentd.problems import Span

Text: TypeAlias = tuple[str, ...]
"""Literals (even positions) and parameter names (odd positions)."""

JsonScalar: TypeAlias = str | int | float | bool


class _Positioned(msgspec.Struct, frozen=True, kw_only=True, tag=True, gc=False):
    """A part of the policy that has a place in the file."""

    span: Span


# --- tests of a claim or parameter ---


class Filled(msgspec.Struct, frozen=True, tag=True):
    """A string value with placeholders; they are filled in when the rule is evaluated."""

    parts: Text


Value: TypeAlias = JsonScalar | Filled


class Equals(_Positioned, frozen=True, kw_only=True):
    """`equals` (one value) and `one_of` (several): the claim has the same JSON type and is equal."""

    values: tuple[Value, ...]


class Matches(_Positioned, frozen=True, kw_only=True):
    """`matches`: the whole value, as a string, matches this RE2 pattern."""

    pattern: str


class Contains(_Positioned, frozen=True, kw_only=True):
    """`contains` and `contains_any`: one of the values is among a list's items or an object's keys."""

    values: tuple[Value, ...]


class Bound(_Positioned, frozen=True, kw_only=True):
    """`at_least` and `at_most`: exactly one of the two is set."""

    at_least: int | float | None = None
    at_most: int | float | None = None


class Exists(_Positioned, frozen=True, kw_only=True):
    """`exists`: the claim is present and not null (`wanted` is true), or it is not."""

    wanted: bool


class Moment(_Positioned, frozen=True, kw_only=True):
    """`is: past` or `is: future`: compares a NumericDate, in seconds (RFC 7519, 2), with the decision's time."""

    future: bool


Test: TypeAlias = Equals | Matches | Contains | Bound | Exists | Moment


# --- rules ---


class Public(_Positioned, frozen=True, kw_only=True):
    """`public`: anyone, with or without a token."""


class Authenticated(_Positioned, frozen=True, kw_only=True):
    """`authenticated`: anyone with a valid token."""


class Nobody(_Positioned, frozen=True, kw_only=True):
    """`nobody`: no one."""


class Members(_Positioned, frozen=True, kw_only=True):
    """`members`: anyone in the room (publish only). Membership itself is checked before any rule."""


class ByServer(_Positioned, frozen=True, kw_only=True):
    """`server`: a join by the operator's side (API or auto-join), never by a client's request."""


class Scopes(_Positioned, frozen=True, kw_only=True):
    """`scope`, `all_scopes` (`every` is true) and `any_scope` (`every` is false)."""

    scopes: tuple[Text, ...]
    every: bool = True


class OfIssuer(_Positioned, frozen=True, kw_only=True):
    """`{issuer: NAME}`, or a list of names: the token is of one of these entries."""

    names: tuple[EntryName, ...]


class Claim(_Positioned, frozen=True, kw_only=True):
    """`{claim: PATH, TEST}`. A path of one item names one top-level claim; it is never split."""

    path: tuple[Text, ...]
    test: Test


class Parameter(_Positioned, frozen=True, kw_only=True):
    """`{param: NAME, TEST}`."""

    name: str
    test: Test


class MemberOf(_Positioned, frozen=True, kw_only=True):
    """`{member_of: ROOM}`: this session is in that room of the namespace."""

    room: Text


class Named(_Positioned, frozen=True, kw_only=True):
    """`{rule: NAME}`: a reference to `Policy.rules`; the named rule is evaluated once per decision."""

    name: str


class All(_Positioned, frozen=True, kw_only=True):
    """`all`: every part is true."""

    parts: tuple[Rule, ...]


class AnyOf(_Positioned, frozen=True, kw_only=True):
    """`any`: at least one part is true."""

    parts: tuple[Rule, ...]


class Not(_Positioned, frozen=True, kw_only=True):
    """`not`: the part is false. The negation of unknown is unknown."""

    part: Rule


Rule: TypeAlias = (
    Public
    | Authenticated
    | Nobody
    | Members
    | ByServer
    | Scopes
    | OfIssuer
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
    """A character or a character class of the pattern grammar, with its least and greatest count.

    `ranges` are inclusive pairs of code points, sorted and disjoint; a negated class is stored as the
    characters that it allows. `most` is `None` for `*` and `+`.
    """

    ranges: tuple[tuple[int, int], ...]
    least: int = 1
    most: int | None = 1


class PatternParam(_Positioned, frozen=True, kw_only=True):
    """`pattern`: a parameter that is a sequence of character classes."""

    name: str
    items: tuple[CharClass, ...]


class IntegerParam(_Positioned, frozen=True, kw_only=True):
    """`integer`: `0|-?[1-9][0-9]{0,15}` within bounds. `high` is `None` if the operator set no `max`."""

    name: str
    low: int = 0
    high: int | None = None


class OneOfParam(_Positioned, frozen=True, kw_only=True):
    """`one_of`: a parameter that is one of these strings."""

    name: str
    values: tuple[str, ...]


Param: TypeAlias = PatternParam | IntegerParam | OneOfParam


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The effective limits of a namespace or room, merged key by key; `None` means unlimited.

    `message_size` is in bytes. Rates are events (or bytes) per second. `own_message_rate`, `own_byte_rate` and
    `own_join_rate` are the rates that a room itself declares; they apply in addition to the session's. `spans` has
    the place of each limit that the file declares, by the name that it has here; a default has none. Where a user
    has `sessions_per_user` already, the oldest of them yields to a further one if `replaces_oldest` is true.
    """

    message_size: int | None = 64 * 1024
    message_rate: float | None = 50.0
    byte_rate: float | None = None
    join_rate: float | None = 20.0
    rooms_per_session: int | None = 100
    sessions_per_user: int | None = 20
    replaces_oldest: bool = False
    own_message_rate: float | None = None
    own_byte_rate: float | None = None
    own_join_rate: float | None = None
    spans: tuple[tuple[str, Span], ...] = ()

    def find_span(self, name: str) -> Span | None:
        """Return the place of a limit, by its name here; `None` for a default."""
        return next((span for limit, span in self.spans if limit == name), None)


class Event(_Positioned, frozen=True, kw_only=True):
    """An event that clients may publish; `schema` is the key of its payload schema in `Policy.schemas`."""

    name: str
    schema: str | None = None
    volatile: bool = False
    publish: Rule | None = None


class AutoJoin(_Positioned, frozen=True, kw_only=True):
    """`auto_join`: parameters, each with the path of the claim that has its values; empty without parameters."""

    claims: tuple[tuple[str, ClaimPath], ...]


class RoomTemplate(_Positioned, frozen=True, kw_only=True):
    """A declared kind of room. `pattern` is its name as a `Text`.

    `fingerprint` is the digest that `policy.fingerprint` computes of everything that decides about membership;
    empty until it is computed.
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
    """`api`: the rules for the operator's services over HTTP; checked now, in use once that API exists."""

    read: Rule
    publish: Rule
    manage: Rule


class Namespace(_Positioned, frozen=True, kw_only=True):
    """A declared namespace; `issuers` are the entries whose tokens may connect.

    `fingerprint` is the digest of everything that decides about connecting, as in a `RoomTemplate`.
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
    """A whole policy: named rules, namespaces by name, and payload schemas by key.

    `claims` are the names of the claims that it reads (`policy.named_claims`); empty until they are collected.
    `namespaces_per_connection` and `observes_limits` (`mode: observe`) are limits of the top level alone.
    """

    rules: dict[str, Rule]
    namespaces: dict[NamespaceName, Namespace]
    schemas: dict[str, object]
    admin_access: Rule
    claims: tuple[str, ...] = ()
    namespaces_per_connection: int | None = 16
    observes_limits: bool = False
