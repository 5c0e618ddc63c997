"""Minting for a configuration's entries: where it cannot be done, the error says why and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from compartmentd.configuration.compiler import load
from compartmentd.errors import UsageError
from compartmentd.keys.development import mint_for_entry
from compartmentd.storage.files import Disk

FILE = """\
version: 1
issuers: {{backend: {{issuer: https://backend.example, audience: first, {key}}}}}
namespaces: {{/: {{connect: authenticated}}}}
"""


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("secret_file: a.key", b"s" * 40, ["a.key", "`backend` is a secret of your own", "move it away"]),
        ("secret_file: a.key", None, ["a.key", "is not there", "`compartmentd serve --dev` makes"]),
        ("discovery: https://id.example", None, ["no entry has a `secret_file`", "compartmentd init"]),
    ],
)
def test_where_no_key_is_for_development_the_error_says_what_to_do(
    tmp_path: Path, key: str, content: bytes | None, said: list[str]
) -> None:
    if content is not None:
        (tmp_path / "a.key").write_bytes(content)
    (tmp_path / "a.yaml").write_text(FILE.format(key=key))
    loaded = load(str(tmp_path / "a.yaml"), Disk())
    assert loaded.configuration is not None, loaded.problems
    with pytest.raises(UsageError) as caught:
        mint_for_entry(loaded.configuration.issuers, None, {"sub": "ann"}, 1000.0)
    for text in said:
        assert text in str(caught.value)
    assert "ssss" not in str(caught.value)
