"""The trees of code that are measured: this one, and for an A/B run the one of another revision.

The files of another revision are taken from Git once and kept in the build directory. A tree runs with the
interpreter of this run if both trees lock the same packages, else with an environment of its own, made from its
lock file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.tokens import BUILD

ROOT = Path(__file__).parents[2]
LOCK = "requirements.lock"


class UnknownRevision(ValueError):
    """Git does not know the revision; the text is Git's."""


class Tree(NamedTuple):
    """Code to run, and the interpreter that runs it."""

    root: Path
    python: str

    def command(self, module: str, *arguments: str) -> list[str]:
        """Return the command that runs a module of this tree, in `environment()`."""
        # Without -P, `-m` looks in the working directory first, which may be another tree.
        return [self.python, "-P", "-m", module, *arguments]

    def environment(self) -> dict[str, str]:
        """Return what the environment must contain, so that this tree's code comes before any installed one."""
        return {"PYTHONPATH": str(self.root)}


THIS = Tree(ROOT, sys.executable)


def find(base: str) -> Tree:
    """Return the tree that is meant by a directory or a revision.

    Raises:
        UnknownRevision: It is neither.
    """
    if (Path(base) / LOCK).exists():
        root = Path(base).resolve()
        return Tree(root, _interpreter(root, BUILD))
    root = checkout(base, ROOT, BUILD / "trees")
    return Tree(root, _interpreter(root, BUILD))


def checkout(revision: str, repository: Path, directory: Path) -> Path:
    """Return a directory with the files of a revision, written now if they are not there yet.

    Args:
        revision: What Git takes for a commit: a hash, a branch, a tag.
        repository: A directory in the working tree of the clone.
        directory: Where revisions are kept, each under its hash.

    Raises:
        UnknownRevision: There is no such commit.
    """
    wanted = ("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    commit = _git(repository, *wanted).decode().strip()
    root = directory / commit
    if not root.exists():
        partial = root.with_suffix(f".{os.getpid()}")
        partial.mkdir(parents=True)
        archive = _git(repository, "archive", "--format=tar", commit)
        subprocess.run(["tar", "--extract", "--directory", partial], input=archive, check=True)
        partial.rename(root)
    return root


def _git(repository: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", repository, *arguments], check=False, capture_output=True)
    if done.returncode:
        raise UnknownRevision(done.stderr.decode(errors="replace").strip())
    return done.stdout


def _interpreter(root: Path, directory: Path) -> str:
    """Return an interpreter that has the packages of a tree's lock file."""
    lock = (root / LOCK).read_bytes()
    if lock == (ROOT / LOCK).read_bytes():
        return sys.executable
    known = hashlib.sha256(sys.version.encode() + lock).hexdigest()[:16]
    home = directory / "environments" / known
    if not home.exists():
        partial = home.with_suffix(f".{os.getpid()}")
        # The path of an environment is written into its scripts, but `python -m` uses none of them.
        subprocess.run([sys.executable, "-m", "venv", partial], check=True)
        pip = [partial / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        try:
            subprocess.run(
                [*pip, "--require-hashes", "--only-binary", ":all:", "-r", root / LOCK], check=True
            )
        except subprocess.CalledProcessError:
            shutil.rmtree(partial)
            raise
        partial.rename(home)
    return str(home / "bin/python")
