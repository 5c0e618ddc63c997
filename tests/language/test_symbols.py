"""What a file declares, for an editor's outline."""

from __future__ import annotations

import pytest

from compartmentd.language.block_reader import read_outline
from compartmentd.language.symbols import Symbol, list_symbols


def show(symbol: Symbol) -> str:
    inner = ", ".join(map(show, symbol.children))
    return f"{symbol.kind} {symbol.name}" + (f" ({inner})" if inner else "")


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("", []),
        ("version: 1\n", ["section version"]),
        ("rules:\n  a: public\n  b\n", ["section rules (rule a)"]),
        ("issuers: {corp: {}, old: {}", ["section issuers (issuer corp, issuer old)"]),
        (
            'namespaces:\n  /a:\n    connect: public\n    rooms:\n      "r:{x}": {join: \n  /b:\n',
            ["section namespaces (namespace /a (room r:{x}), namespace /b)"],
        ),
    ],
)
def test_a_file_has_the_symbols_of_its_declarations(text: str, symbols: list[str]) -> None:
    assert [show(symbol) for symbol in list_symbols(read_outline(text))] == symbols


def test_a_symbol_reaches_to_the_end_of_what_belongs_to_it() -> None:
    [rules] = list_symbols(read_outline("rules:\n  a:\n    any:\n      - {scope: x}\n"))
    assert (rules.range.start, rules.range.end) == ((0, 0), (3, 18))
    [rule] = rules.children
    assert (rule.key_range.start, rule.key_range.end) == ((1, 2), (1, 3))
