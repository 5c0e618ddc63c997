"""`lsp` without its extra; with it, tests/integration/test_language_server.py speaks with the server."""

from __future__ import annotations

import sys

import pytest

from compartmentd.cli import main as main_module


def test_a_missing_extra_is_told_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("pygls", "lsprotocol"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "compartmentd.cli.language_server", raising=False)
    monkeypatch.setitem(sys.modules, "lsprotocol", None)
    monkeypatch.setitem(sys.modules, "pygls", None)
    monkeypatch.setattr(sys, "argv", ["compartmentd", "lsp", "--stdio"])
    with pytest.raises(SystemExit) as ended:
        main_module.main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "the language server needs the extra `lsp`" in told
    assert "pipx install 'compartmentd[lsp]'" in told
