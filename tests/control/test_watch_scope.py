"""What a change on disk means: everything, keys, a certificate, or several of them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compartmentd.control.first_generation import start_up
from compartmentd.control.watch_scope import Change, what_changed

POLICY = """version: 1
issuers:
  corp: {issuer: "https://id.example.com", audience: realtime, secret_file: corp.secret}
namespaces:
  /: {connect: public}
"""


@pytest.mark.parametrize(
    ("changed", "watched", "unwatched"),
    [
        (("compartments.yaml",), Change.EVERYTHING, Change.NOTHING),
        (("corp.secret",), Change.KEYS, Change.KEYS),
        # The file may be refused, and the key is another all the same.
        (("compartments.yaml", "corp.secret"), Change.EVERYTHING | Change.KEYS, Change.KEYS),
        ((), Change.NOTHING, Change.NOTHING),
    ],
)
def test_what_is_read_again(
    tmp_path: Path, changed: tuple[str, ...], watched: Change, unwatched: Change
) -> None:
    (tmp_path / "corp.secret").write_text("s" * 40)
    file = tmp_path / "compartments.yaml"
    file.write_text(POLICY)
    in_force, _ = start_up(str(file), development=False, passed={})
    configuration = in_force.snapshot.configuration
    paths = [str(tmp_path / name) for name in changed]
    assert what_changed(configuration, paths) == watched
    server = msgspec.structs.replace(configuration.server, watch=False)
    assert what_changed(msgspec.structs.replace(configuration, server=server), paths) == unwatched
