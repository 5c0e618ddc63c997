"""The layers of the package, as data: who may import whom, and what stays pure.

A module may import what stands in a lower row, and its own package; nothing imports upward. The lower
layers are pure: no clock, randomness, loop, logging, file or socket. What a row may take from outside the
standard library stands beside it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "compartmentd"


class Row(NamedTuple):
    """Packages and modules of one layer; they do not import each other, unless `ALONG` names the pair."""

    members: tuple[str, ...]
    third_party: tuple[str, ...] = ()
    pure: bool = False


LAYERS = (
    Row(("names", "problems", "errors"), pure=True),
    Row(("util",)),
    Row(("document", "policy", "tokens", "protocol"), pure=True),
    Row(("configuration", "analysis", "language"), pure=True),
    Row(("sessions",), pure=True),
    Row(("telemetry",)),
    Row(("storage", "net")),
    Row(("keys",)),
    Row(("transport", "control"), ("tornado",)),
    Row(("http",), ("tornado",)),
    Row(("daemon",)),
    Row(("cli", "__main__"), ("click",)),
)
"""From the lowest layer to the highest: vocabulary and helpers, the pure core, the edge, the root, the commands."""

ALONG = {
    ("errors", "problems"): (("problems",), "an exception of a configuration carries its problems"),
    ("tokens", "policy"): (
        ("policy.claim_path", "policy.codes", "policy.principal"),
        "a refused token has a code of the policy's table, an accepted one makes a principal; both read claims",
    ),
    ("__main__", "cli"): (("cli.main",), "`python -m compartmentd` is the command"),
}
"""Imports within a layer: importer and imported package, the modules that are meant, and the reason. They run one
way only, and are four at most."""

EVERYWHERE = ("msgspec",)
"""Third-party packages that any module may import."""

PURE_HELPERS = ("flood", "footprint", "humanize", "listen_address", "ratelimit", "regex", "strict_json")
"""Modules of `util` that are as pure as the layers that may import them."""

IMPURE_HELPERS = {
    "allocator": "changes the C library's allocator and asks it",
    "cooperative": "yields to the event loop and reads the clock",
    "gc_tuning": "changes the interpreter's garbage collector",
    "tasks": "starts tasks of the event loop",
}
"""The other modules of `util`, each with its reason; a pure layer imports none of them."""

THIRD_PARTY = {
    "storage": ("cryptography", "watchdog"),
    "document": ("yaml", "jsonschema", "jsonschema_rs", "referencing"),
    "configuration": ("jsonschema", "jsonschema_rs", "referencing"),
    "keys": ("aiohttp",),
    "net": ("tornado",),
    "util": ("re2",),
    "telemetry": ("opentelemetry",),
    "tokens": ("jwt", "cryptography"),
    "http": ("prometheus_client",),
    "daemon": ("uvloop",),
    "cli": ("lsprotocol", "pygls"),
}
"""Third-party packages that a single package may import in addition to its row."""

IMPURE = {
    *(
        "asyncio",
        "concurrent",
        "gc",
        "multiprocessing",
        "select",
        "selectors",
        "signal",
        "subprocess",
        "threading",
    ),
    *("datetime", "time", "random", "secrets", "uuid"),
    *("logging", "os", "pathlib", "shutil", "socket", "ssl", "tempfile"),
}
"""Modules of the standard library through which a function could depend on more than its arguments."""

EXCEPTIONS = {
    ("tokens", "secrets"): "makes a development secret; nothing decides by it",
}
"""Impure-looking imports that are pure as used, each with its reason."""


class Import(NamedTuple):
    """One import statement's target, dotted, with its line."""

    line: int
    target: str


def is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(source: str) -> Iterator[Import]:
    """Yield what a module imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            base = node.module or ""
            for alias in node.names:
                # `from compartmentd.policy import decide` imports a module of ours
                module = f"{base}.{alias.name}"
                yield Import(node.lineno, module if base == PACKAGE or is_module(module) else base)


LAYER_OF = {member: index for index, row in enumerate(LAYERS) for member in row.members}


def complaints(module: str, source: str) -> Iterator[str]:
    """Yield what a module (dotted, without the package's own name) imports against the table."""
    member, _, name = module.partition(".")
    row = LAYERS[LAYER_OF[member]]
    pure = row.pure or (member == "util" and name in PURE_HELPERS)
    for line, target in imports(source):
        top, _, inner = target.partition(".")
        if top == PACKAGE:
            if not may_import(member, inner):
                yield f"{module}:{line}: imports {target}, which is not below it"
            elif pure and inner.removeprefix("util.") in IMPURE_HELPERS:
                yield f"{module}:{line}: imports {target}, which is not pure"
        elif top in sys.stdlib_module_names:
            if pure and top in IMPURE and (member, target) not in EXCEPTIONS:
                yield f"{module}:{line}: imports {target}, but its layer is pure"
        elif top not in (*EVERYWHERE, *row.third_party, *THIRD_PARTY.get(member, ())):
            yield f"{module}:{line}: imports {target}, which its layer does not use"


def may_import(member: str, inner: str) -> bool:
    """Return whether a member of a layer may import `inner` (dotted; the package's version is open to all)."""
    other = inner.split(".", maxsplit=1)[0]
    if other in {member, "__version__"}:
        return True
    if LAYER_OF[other] == LAYER_OF[member]:
        return inner in ALONG.get((member, other), ((),))[0]
    return LAYER_OF[other] < LAYER_OF[member]


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        dotted = ".".join(path.relative_to(ROOT / PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if dotted != "__init__":
            yield dotted, path


@pytest.mark.parametrize(("module", "path"), [pytest.param(*item, id=item[0]) for item in modules()])
def test_every_module_keeps_to_its_layer(module: str, path: Path) -> None:
    assert list(complaints(module, path.read_text())) == []


def test_every_module_has_a_place_in_the_table() -> None:
    assert {module.split(".")[0] for module, _ in modules()} <= LAYER_OF.keys()


def test_every_helper_is_either_pure_or_has_a_reason_not_to_be() -> None:
    helpers = {module.removeprefix("util.") for module, _ in modules() if module.startswith("util.")}
    assert not IMPURE_HELPERS.keys() & set(PURE_HELPERS)
    assert helpers == {*PURE_HELPERS, *IMPURE_HELPERS}


def test_every_exception_is_used_and_they_are_few() -> None:
    taken = {
        (module.split(".")[0], target.removeprefix(f"{PACKAGE}."))
        for module, path in modules()
        for _, target in imports(path.read_text())
    }
    pairs = {(member, target.split(".")[0]) for member, target in taken}
    assert len(ALONG) <= 4
    assert taken >= {(member, module) for (member, _), (named, _) in ALONG.items() for module in named}
    assert not {(imported, importer) for importer, imported in ALONG} & pairs, "they run one way only"
    assert taken >= EXCEPTIONS.keys()
    assert pairs >= {(member, name) for member, names in THIRD_PARTY.items() for name in names}
    for row in LAYERS:
        used = {name for member, name in pairs if member in row.members}
        assert used >= set(row.third_party), row


SERVER = ("protocol", "transport", "net")
POLICY = ("policy", "configuration", "sessions", "tokens")


def test_the_server_knows_no_policy() -> None:
    """Sockets, protocols and the data plane reach no module of the policy, by whatever they import.

    Polling, WebSocket and upgrade end in one application; none of them could decide by itself.
    """
    known = dict(modules())
    reached: dict[str, str] = {}
    waiting = [(module, module) for module in known if module.split(".")[0] in SERVER]
    while waiting:
        module, way = waiting.pop()
        if module in reached or module not in known:
            continue
        reached[module] = way
        for _, target in imports(known[module].read_text()):
            inner = target.removeprefix(f"{PACKAGE}.")
            waiting.append((inner, f"{way} > {inner}"))
    assert "util.ratelimit" in reached
    assert [way for module, way in reached.items() if module.split(".")[0] in POLICY] == []


def test_no_module_imports_itself_through_others() -> None:
    known = dict(modules())
    below = {
        module: {
            target.removeprefix(f"{PACKAGE}.")
            for _, target in imports(path.read_text())
            if target.removeprefix(f"{PACKAGE}.") in known
        }
        - {module}
        for module, path in known.items()
    }
    while ready := [module for module, targets in below.items() if not targets]:
        for module in ready:
            del below[module]
        for targets in below.values():
            targets.difference_update(ready)
    assert below == {}, "these import each other in a circle"


def test_the_package_itself_imports_nothing_of_ours() -> None:
    source = (ROOT / PACKAGE / "__init__.py").read_text()
    assert [target for _, target in imports(source) if target != "__future__"] == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("policy.decide", "import time", "is pure"),
        ("policy.decide", "from os import path", "is pure"),
        ("policy.decide", "def f():\n    import random", "is pure"),
        ("policy.decide", "from compartmentd.sessions import hub", "not below it"),
        ("policy.decide", "from compartmentd import sessions", "not below it"),
        ("policy.decide", "from compartmentd.protocol import message", "not below it"),
        ("tokens.verify", "from compartmentd.policy.decide import decide", "not below it"),
        ("policy.decide", "from compartmentd.util.cooperative import run_in_slices", "is not pure"),
        ("util.humanize", "import time", "is pure"),
        ("util.humanize", "from compartmentd.util import gc_tuning", "is not pure"),
        ("policy.decide", "import tornado.web", "does not use"),
        ("policy.decide", "import jwt", "does not use"),
        ("policy.decide", "import re2", "does not use"),
        ("transport.server", "from compartmentd.daemon.run import Daemon", "not below it"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str, expected: str) -> None:
    assert expected in " ".join(complaints(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("policy.decide", "import math\nfrom compartmentd.names import RoomName"),
        ("policy.decide", "from compartmentd.policy.model import Rule"),
        ("tokens.verify", "import jwt\nfrom compartmentd.policy.principal import Principal"),
        ("transport.server", "import time\nimport tornado.web\nfrom compartmentd.sessions.hub import Hub"),
        ("cli.main", "import click\nfrom compartmentd import __version__"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert list(complaints(module, source)) == []
