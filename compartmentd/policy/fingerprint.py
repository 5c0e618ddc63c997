"""What a decision about connecting or a membership rests on, as digests, so that a reload need not decide again.

Where a namespace and a template have the fingerprints that they had before, the same session gets the same
answers: a fingerprint is made of the rule with every named rule in it, of the accepted issuers, and of the
template's name and parameters, which say what of a room's name is a value. Where something stands in the file is
no part of it, so a line that is added above changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from compartmentd.policy.model import Named, Policy, Rule
from compartmentd.policy.rules.traverse import collect_names

_SIZE = 16
"""Bytes of a fingerprint: none but the operator, on purpose and for years, could find two rules that share one."""


def add_fingerprints(policy: Policy) -> Policy:
    """Return the policy with the fingerprints of its namespaces and templates; its rules must be sound."""
    named = _fingerprint_named_rules(policy.rules)

    def of(*parts: Any) -> bytes:
        return _hash([_to_plain(part, named) for part in parts])

    namespaces = {}
    for name, namespace in policy.namespaces.items():
        rooms = tuple(
            msgspec.structs.replace(room, fingerprint=of(room.pattern, room.params, room.join))
            for room in namespace.rooms
        )
        namespaces[name] = msgspec.structs.replace(
            namespace, rooms=rooms, fingerprint=of(namespace.issuers, namespace.connect)
        )
    return msgspec.structs.replace(policy, namespaces=namespaces)


def _fingerprint_named_rules(rules: Mapping[str, Rule]) -> dict[str, bytes]:
    """Return the fingerprints of the named rules, each made after those that it uses."""
    found: dict[str, bytes] = {}
    waiting = list(rules)
    while waiting:
        name = waiting[-1]
        missing = [used for used in collect_names(rules[name]) if used not in found]
        if missing and name not in found:
            waiting += missing
        else:
            found[name] = _hash(_to_plain(rules[name], found))
            waiting.pop()
    return found


def _to_plain(value: Any, named: Mapping[str, bytes]) -> Any:
    """Return a part of the policy as bare values, with the fingerprints of named rules in place of their names."""
    if isinstance(value, Named):
        return ["Named", named[value.name]]
    if isinstance(value, msgspec.Struct):
        fields = [name for name in value.__struct_fields__ if name != "span"]
        return [type(value).__name__, *[_to_plain(getattr(value, name), named) for name in fields]]
    if isinstance(value, tuple):
        return [_to_plain(each, named) for each in value]
    return value


def _hash(plain: Any) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(plain), digest_size=_SIZE).digest()
