"""Which YAML files are configurations of ours, and what they include."""

from __future__ import annotations

import pytest

from compartmentd.language.block_reader import read_outline
from compartmentd.language.recognise import is_main, list_globs


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("/etc/compartments.yaml", "", True),
        ("/etc/compartments.yml", "nam", True),
        ("/etc/chat.yaml", "version: 1\nnamespaces: {}\n", True),
        ("/etc/chat.yaml", "version: 1\nissuers:\n", True),
        ("/etc/chat.yaml", "# yaml-language-server: $schema=compartmentd.schema.json\n", True),
        ("/etc/chat.yaml", "# yaml-language-server: $schema=/usr/share/compartmentd/x.json\nver", True),
        ("/etc/chat.yaml", "# yaml-language-server: $schema=compartmentd-included.schema.json\n", False),
        ("/etc/chat.yaml", "# yaml-language-server: $schema=https://json.schemastore.org/x\n", False),
        ("/etc/chat.yaml", "version: 1\n", False),
        ("/etc/chat.yaml", "version: 2\nnamespaces: {}\n", False),
        ("/etc/chat.yaml", "namespaces: {}\n", False),
        ("/etc/compose.yaml", "services:\n  web: {}\n", False),
    ],
)
def test_a_main_file_is_recognised(path: str, text: str, ours: bool) -> None:
    assert is_main(path, text, read_outline(text)) is ours


@pytest.mark.parametrize(
    ("text", "globs"),
    [
        ("", []),
        ("include: [a.yaml, 'b/*.yaml']", ["a.yaml", "b/*.yaml"]),
        ("include:\n  - a.yaml\n  -\n", ["a.yaml"]),
        ("include: [a.ya", ["a.ya"]),
    ],
)
def test_what_a_file_includes(text: str, globs: list[str]) -> None:
    assert list_globs(read_outline(text)) == globs
