"""Fingerprints of namespaces and templates: if they are unchanged, a reload need not decide again.

A fingerprint is a digest of everything that a decision about connecting or a membership depends on: the rule with
every named rule in it, the accepted issuers, and the template's name and parameters, which determine the values in
a room's name. So with equal fingerprints the same session gets the same answers. Positions in the file are left
out, so that a line added above changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from compartmentd.policy.model import Named, Policy, Rule
from compartmentd.policy.rules.traverse import collect_names

_SIZE = 16
"""Bytes of a fingerprint. Only the operator could search for two rules that share one, and it would take years."""


def add_fingerprints(policy: Policy) -> Policy:
    """Return the policy with fingerprints in its namespaces and templates; every rule that it names must exist."""
    named = _fingerprint_named_rules(policy.rules)

    def fingerprint(*parts: Any) -> bytes:
        return _hash([_to_plain(part, named) for part in parts])

    namespaces = {}
    for name, namespace in policy.namespaces.items():
        rooms = tuple(
            msgspec.structs.replace(room, fingerprint=fingerprint(room.pattern, room.params, room.join))
            for room in namespace.rooms
        )
        namespaces[name] = msgspec.structs.replace(
            namespace, rooms=rooms, fingerprint=fingerprint(namespace.issuers, namespace.connect)
        )
    return msgspec.structs.replace(policy, namespaces=namespaces)


def _fingerprint_named_rules(rules: Mapping[str, Rule]) -> dict[str, bytes]:
    """Return the fingerprints of the named rules; a rule is fingerprinted after the rules that it uses."""
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
    """Return a part of the policy as plain values, with fingerprints in place of the names of rules."""
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
