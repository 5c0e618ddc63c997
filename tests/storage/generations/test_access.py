"""Kept files in their places, and where the history is when the configuration is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.document.beginning import find_scalar_before_mistake
from compartmentd.storage.files import Disk
from compartmentd.storage.generations import KeptFiles, find_state_directory
from compartmentd.storage.generations.access import matches

MAIN = """version: 1
include: ["parts/*.yaml", "./more/?.yaml"]
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /: {connect: public, publish: public, events: {message: {schema: m.json}}}
"""


def test_a_kept_configuration_loads_as_it_was_whatever_lies_there_now(tmp_path: Path) -> None:
    for directory in ("parts", "more"):
        (tmp_path / directory).mkdir()
    main = tmp_path / "compartments[1].yaml"
    main.write_text(MAIN)
    (tmp_path / "m.json").write_text("{}")
    (tmp_path / "corp.secret").write_text("s" * 40)
    for name in ("parts/a.yaml", "parts/.hidden.yaml", "more/b.yaml"):
        (tmp_path / name).write_text(f"namespaces: {{/{Path(name).stem}: {{connect: public}}}}\n")
    loaded = load(str(main), Disk(), serving=True)
    assert loaded.problems == ()
    main.write_text("broken: [")
    (tmp_path / "m.json").unlink()
    (tmp_path / "more/b.yaml").unlink()
    (tmp_path / "parts/later.yaml").write_text("broken: [")
    again = load(str(main), KeptFiles(str(main), loaded.contents, Disk()), serving=True)
    assert (again.digest, again.problems, again.files) == (loaded.digest, (), loaded.files)
    assert again.configuration == loaded.configuration


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("parts/a.yaml", "parts/*.yaml", True),
        ("parts/a.yaml", "./parts/*.yaml", True),
        ("/etc/c/parts/a.yaml", "/etc/c/parts/a.yaml", True),
        ("parts/a.yaml", "*.yaml", False),
        ("parts/.a.yaml", "parts/*.yaml", False),
        ("parts/a.yaml", "*/a.yaml", True),
        (".parts/a.yaml", "*/a.yaml", False),
        ("x/y/a.yaml", "**/a.yaml", False),
        ("[x]/a.yaml", "[[]x]/*.yaml", True),
    ],
)
def test_globs_find_what_they_would_find_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, pattern: str, expected: bool
) -> None:
    assert matches(path, pattern) is expected
    if not path.startswith("/"):
        monkeypatch.chdir(tmp_path)
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
        assert bool(Disk().glob(pattern)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 1\nserver: {state: here}\n", "here"),
        ("server:\n  listen: [a, {b: c}]\n  state: here\nnamespaces: [\n", "here"),
        ("server:\n  state: here\n\tbroken", "here"),
        ("? {a: b}\n: c\nserver: {state: here}\n", "here"),
        ("namespaces: [}\nserver: {state: here}\n", None),
        ("other: {state: here}\nserver: {listen: x}\n", None),
        ("server: {tls: {state: here}}\n", None),
        ("state: here\n", None),
        ("- server: {state: here}\n", None),
        ("server: {state: [here]}\n", None),
        ("here", None),
        ("", None),
        ("\x00", None),
    ],
)
def test_what_stands_before_a_mistake_is_read(text: str, expected: str | None) -> None:
    assert find_scalar_before_mistake(text, ("server", "state")) == expected


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("server: {state: s}\nbroken: [", {"STATE_DIRECTORY": "/var/lib/c"}, "{}/s"),
        ("server: {state: /abs}\n", {}, "/abs"),
        ("broken: [", {"STATE_DIRECTORY": "/var/lib/c:/var/lib/d"}, "/var/lib/c"),
        (None, {"STATE_DIRECTORY": "/var/lib/c"}, "/var/lib/c"),
        ("server: {state: ''}", {}, None),
        (None, {"STATE_DIRECTORY": ""}, None),
    ],
)
def test_the_state_directory_of_a_broken_configuration(
    tmp_path: Path, text: str | None, environ: dict[str, str], expected: str | None
) -> None:
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    found = find_state_directory(str(path), Disk(), environ)
    assert found == (expected and expected.format(tmp_path))
