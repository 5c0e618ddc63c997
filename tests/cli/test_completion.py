"""Completion, as a shell uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import command


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A `$PATH` on which `compartmentd` is the one of this tree."""
    tool = tmp_path / "bin/compartmentd"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m compartmentd "$@"\n')
    tool.chmod(0o755)
    return f"{tool.parent}:{os.environ['PATH']}"


def completed(path: str, *words: str) -> list[str]:
    """Return what bash offers for the last of the words, with the script loaded as the README says."""
    script = """
        source <(compartmentd completion bash)
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _compartmentd_completion compartmentd
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", "compartmentd", *words],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("roll",), ["rollback"]),
        (("serve", "--la"), ["--last-good"]),
        (("check", "--format", ""), ["text", "json", "github", "sarif"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes(path: str, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(path, *words) == offered


@pytest.mark.parametrize(("shell", "sign"), [("zsh", "#compdef compartmentd"), ("fish", "complete ")])
def test_other_shells_have_their_script(shell: str, sign: str) -> None:
    done = command("completion", shell)
    assert done.code == 0
    assert sign in done.out


def test_another_shell_is_wrong_usage() -> None:
    assert command("completion", "tcsh").code == 2
