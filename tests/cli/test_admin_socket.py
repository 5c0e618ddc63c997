"""How commands find the daemon by the file that it serves, also while there is a mistake in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import admin_socket
from compartmentd.cli.main import cli
from compartmentd.errors import UsageError

GOOD = "version: 1\nserver: {admin: ['unix:/run/a.sock']}\nnamespaces: {/: {connect: public}}\n"


class Client:
    """Stands for the way to the daemon, and keeps where it was looked for."""

    paths: list[str]

    def __init__(self, path: str) -> None:
        self.paths.append(path)

    def request(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        return 200, {"ok": False, "error": {"message": f"{method} {target} {body}"}}


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(Client, "paths", [], raising=False)
    monkeypatch.setattr(admin_socket, "AdminClient", Client)
    return Client.paths


def run(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return CliRunner().invoke(cli, ["reload", "-c", str(file)])


@pytest.mark.parametrize(
    "mistake", ["", "rules: {a: {rule: b}}\n", "limits: {message_rate: {}, join_rate: 1/s}\n"]
)
def test_a_mistake_elsewhere_is_for_the_daemon_to_answer(
    tmp_path: Path, paths: list[str], mistake: str
) -> None:
    result = run(tmp_path, GOOD + mistake)
    assert paths == ["/run/a.sock"]
    assert result.exit_code == 1
    assert "/admin/reload" in result.stderr


@pytest.mark.parametrize(("mistake", "place"), [("rules: {\n", "5:1"), ("sever: {}\n", "4:1")])
def test_a_mistake_that_may_hide_the_socket_is_told_with_its_place(
    tmp_path: Path, paths: list[str], mistake: str, place: str
) -> None:
    result = run(tmp_path, GOOD + mistake)
    assert isinstance(result.exception, UsageError)
    assert "--socket" in str(result.exception)
    assert f"c.yaml:{place}: error: " in result.stderr
    assert paths == []
