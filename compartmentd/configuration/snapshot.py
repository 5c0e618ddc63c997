"""Everything that decides, behind one reference: rules, keys and payload schemas of one generation.

An event reads one snapshot, once, so that no decision mixes old keys with new rules.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from itertools import chain

import msgspec

from compartmentd.configuration.payloads.validator import PayloadValidator
from compartmentd.configuration.settings import Configuration
from compartmentd.names import Digest, EntryName
from compartmentd.policy.ruleset import Ruleset
from compartmentd.problems import Problem, has_errors
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.local_keys import KeyMaterial, read_all_keys


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything by which one generation decides.

    Attributes:
        generation: the number of the generation, counted from 1 since the start.
        digest: of the files that the configuration was read from.
        configuration: the checked configuration.
        rules: its policy, compiled.
        keys: the keys of its issuers, read from files and variables or fetched.
        payloads: a validator for each payload schema, by the schema's name in the policy.
        named_claims: the names of the claims that something reads; sessions keep the values of no others at hand.
    """

    generation: int
    digest: Digest
    configuration: Configuration
    rules: Ruleset
    keys: KeySet
    payloads: Mapping[str, PayloadValidator]
    named_claims: frozenset[str]


def read_local_keys(
    issuers: tuple[IssuerEntry, ...],
    material: Iterable[KeyMaterial],
) -> tuple[KeySet, tuple[Problem, ...]]:
    """Read the local keys of every entry; tokens of an entry without any get `keys_unavailable`."""
    keys, problems = read_all_keys(issuers, material)
    return KeySet.build(issuers, () if has_errors(problems) else keys), problems


def add_fetched_keys(keys: KeySet, remote: Mapping[EntryName, tuple[Key, ...]]) -> KeySet:
    """Return the same set with fetched keys, which are read already."""
    return KeySet.build(keys.entries.values(), chain(*keys.keys.values(), *remote.values()))


def build_snapshot(
    configuration: Configuration,
    digest: Digest,
    keys: KeySet,
    generation: int,
) -> Generator[None, None, Snapshot]:
    """Build a snapshot; the caller may let others run at each `yield`."""
    payloads: dict[str, PayloadValidator] = {}
    for key, schema in configuration.policy.schemas.items():
        payloads[key] = PayloadValidator(schema)
        yield
    rules = yield from Ruleset.build_in_slices(configuration.policy)
    return Snapshot(
        generation=generation,
        digest=digest,
        configuration=configuration,
        rules=rules,
        keys=keys,
        payloads=payloads,
        named_claims=configuration.named_claims,
    )
