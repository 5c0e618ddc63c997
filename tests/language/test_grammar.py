"""What the schema says about a path: keys, values, forms."""

from __future__ import annotations

import pytest

from compartmentd.document.bundled import schema
from compartmentd.language.grammar import (
    ValueForm,
    find_place,
    list_keys,
    list_rule_kinds,
    list_values,
    takes_test,
)
from compartmentd.language.outline import KeyPath

ROOM: KeyPath = ("namespaces", "/chat", "rooms", "r:{x}")


@pytest.mark.parametrize(
    ("path", "definition", "key", "form"),
    [
        ((), "", "", "mapping"),
        (("server",), "server", "server", "mapping"),
        (("server", "listen"), "", "listen", "sequence"),
        (("server", "listen", 0), "address", "listen", "scalar"),
        (("namespaces", "/chat"), "namespace", "namespaces", "mapping"),
        ((*ROOM, "join"), "rule", "join", "scalar"),
        ((*ROOM, "join", "all"), "", "all", "sequence"),
        ((*ROOM, "join", "all", 3, "not"), "rule", "not", "scalar"),
        ((*ROOM, "auto_join"), "", "auto_join", "scalar"),
        ((*ROOM, "events"), "events", "events", "sequence"),
        ((*ROOM, "events", "message"), "event", "events", "mapping"),
        (("rules", "staff"), "rule", "rules", "scalar"),
    ],
)
def test_a_path_leads_to_a_part_of_the_schema(
    path: KeyPath, definition: str, key: str, form: ValueForm
) -> None:
    place = find_place(path)
    assert place is not None
    assert (place.definition, place.key, place.shape) == (definition, key, form)


def find_unbuilt() -> str:
    return next(key for key, part in schema()["properties"].items() if "x-not-built" in part)


@pytest.mark.parametrize(
    "path",
    [("unknown",), ("version", "x"), ("version", 0), ("server", 0), (*ROOM, "connect"), (find_unbuilt(),)],
)
def test_a_path_that_may_not_be_leads_nowhere(path: KeyPath) -> None:
    assert find_place(path) is None


def test_an_included_file_has_its_own_keys() -> None:
    root = find_place((), included=True)
    assert root is not None
    assert [key for key, _ in list_keys(root, ())] == ["namespaces", "rules"]
    assert find_place(("server",), included=True) is None


def test_every_kind_of_rule_that_is_built_is_listed_with_whether_it_takes_a_test() -> None:
    rule = schema()["$defs"]["rule"]["properties"]
    assert set(list_rule_kinds()) <= rule.keys()
    assert not any("x-not-built" in rule[kind] for kind in list_rule_kinds())
    assert [kind for kind in list_rule_kinds() if takes_test(kind)] == ["claim", "param"]


def test_every_word_of_a_rule_has_a_meaning() -> None:
    place = find_place(("rules", "a"))
    assert place is not None
    words = dict(list_values(place))
    assert list(words) == schema()["$defs"]["rule"]["then"]["enum"]
    assert all(words.values())
