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

ROOT = Path(__file__).parent.parent
PACKAGE = "compartmentd"


class Row(NamedTuple):
    """Packages and modules of one layer; they do not import each other, unless `along` names the pair."""

    members: tuple[str, ...]
    third_party: tuple[str, ...]
    pure: bool = False


LAYERS = (
    Row(("names", "errors", "problems", "words"), ("msgspec",), pure=True),
    Row(("document", "policy", "protocol", "tokens"), ("msgspec",), pure=True),
    Row(
        ("configuration", "payloads", "compiler", "snapshot"),
        ("msgspec", "jsonschema", "referencing"),
        pure=True,
    ),
    Row(("sessions",), ("msgspec",), pure=True),
    Row(
        (
            "certificates",
            "collector",
            "freeing",
            "slices",
            "files",
            "history",
            "jwks",
            "material",
            "minting",
            "notify",
            "state",
            "watcher",
            "lag",
            "logs",
            "feed",
            "throttle",
            "decisions",
            "log_events",
            "outcomes",
            "tracing",
        ),
        ("msgspec", "watchdog"),
    ),
    Row(("compilation", "heartbeat", "reload", "revoking", "server"), ("msgspec", "tornado")),
    Row(("following", "listeners", "metrics", "startup"), ("msgspec", "prometheus_client")),
    Row(
        ("administration", "lastgood", "daemon", "cli", "__main__"), ("msgspec", "tornado", "uvloop", "click")
    ),
)
"""From the lowest layer to the highest."""

ALONG = {
    ("errors", "problems"),
    ("tokens", "policy.codes"),
    ("tokens", "policy.principal"),
    ("compiler", "configuration"),
    ("snapshot", "configuration"),
    ("snapshot", "payloads"),
    ("snapshot", "compiler"),
    ("reload", "compilation"),
    ("reload", "server"),
    ("revoking", "server"),
    ("minting", "material"),
    ("feed", "logs"),
    ("logs", "throttle"),
    ("decisions", "logs"),
    ("decisions", "feed"),
    ("decisions", "tracing"),
    ("tracing", "logs"),
    ("notify", "logs"),
    ("outcomes", "logs"),
    ("jwks", "logs"),
    ("jwks", "slices"),
    ("daemon", "administration"),
    ("daemon", "lastgood"),
    ("cli", "daemon"),
    ("__main__", "cli"),
}
"""Imports within a layer: importer and what it imports. They run one way only."""

THIRD_PARTY = {
    "certificates": ("cryptography",),
    "document": ("yaml", "jsonschema", "referencing", "re2"),
    "jwks": ("tornado",),
    "payloads": ("re2",),
    "policy": ("re2",),
    "tracing": ("opentelemetry",),
    "tokens": ("jwt", "cryptography"),
}
"""What a single package may take in addition to its row."""

IMPURE = {
    *("asyncio", "concurrent", "multiprocessing", "select", "selectors", "signal", "subprocess", "threading"),
    *("datetime", "time", "random", "secrets", "uuid"),
    *("logging", "os", "pathlib", "shutil", "socket", "ssl", "tempfile"),
}
"""Modules of the standard library through which a function could depend on more than its arguments."""

EXCEPTIONS = {
    ("compiler", "os.path"): "joins and cleans paths as strings; touches no file",
    ("tokens", "os.path"): "commonprefix compares strings",
    ("tokens", "secrets"): "makes a development secret; nothing decides by it",
}
"""Impure-looking imports that are pure as used, each with its reason."""


class Import(NamedTuple):
    """One import statement's target, dotted, with its line."""

    line: int
    target: str


def imports(source: str) -> Iterator[Import]:
    """Yield what a module imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            base = node.module or ""
            if base == PACKAGE:  # `from compartmentd import names` imports a module of ours
                yield from (Import(node.lineno, f"{base}.{alias.name}") for alias in node.names)
            else:
                yield Import(node.lineno, base)


LAYER_OF = {member: index for index, row in enumerate(LAYERS) for member in row.members}


def complaints(module: str, source: str) -> Iterator[str]:
    """Yield what a module (dotted, without the package's own name) imports against the table."""
    member = module.split(".", maxsplit=1)[0]
    row = LAYERS[LAYER_OF[member]]
    for line, target in imports(source):
        top, _, inner = target.partition(".")
        if top == PACKAGE:
            if not may_import(member, inner):
                yield f"{module}:{line}: imports {target}, which is not below it"
        elif top in sys.stdlib_module_names:
            if row.pure and top in IMPURE and (member, target) not in EXCEPTIONS:
                yield f"{module}:{line}: imports {target}, but its layer is pure"
        elif top not in row.third_party + THIRD_PARTY.get(member, ()):
            yield f"{module}:{line}: imports {target}, which its layer does not use"


def may_import(member: str, inner: str) -> bool:
    """Tell whether a member of a layer may import `inner` (dotted; the package's version is open to all)."""
    other = inner.split(".", maxsplit=1)[0]
    if other in {member, "__version__"}:
        return True
    if LAYER_OF[other] == LAYER_OF[member]:
        return (member, other) in ALONG or (member, inner) in ALONG
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
        ("policy.decide", "import tornado.web", "does not use"),
        ("policy.decide", "import jwt", "does not use"),
        ("sessions.hub", "import re2", "does not use"),
        ("server.http", "from compartmentd.daemon import Daemon", "not below it"),
    ],
)
def test_a_planted_import_is_found(module: str, source: str, expected: str) -> None:
    assert expected in " ".join(complaints(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("policy.decide", "import re2, math\nfrom compartmentd.names import RoomName"),
        ("policy.decide", "from compartmentd.policy.model import Rule"),
        ("tokens.verify", "import jwt\nfrom compartmentd.policy.principal import Principal"),
        ("server.http", "import time\nimport tornado.web\nfrom compartmentd.sessions.hub import Hub"),
        ("cli.main", "import click\nfrom compartmentd import __version__"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert list(complaints(module, source)) == []
