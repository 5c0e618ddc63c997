"""The Debian package, on a bare Debian: it installs, starts, upgrades, and leaves nothing behind.

Building takes the packages of the lock file from the package index, and the bare Debian comes from the mirror
that apt uses. Both take root.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compartmentd import __version__
from tests.support.daemon import listening
from tests.support.rawclient import RawClient
from tests.support.timing import eventually, seconds

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
CONFIG = "/etc/compartmentd/compartments.yaml"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds(900))
    assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def build(tree: Path, directory: Path) -> Path:
    run(tree / "debian/build", directory)
    (package,) = directory.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what is checked out, which nobody changes meanwhile."""
    copy = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":!tests"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    git = ["git", "-C", copy, "-c", "user.name=test", "-c", "user.email=test@example.com"]
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "as it is")
    return copy


@pytest.fixture(scope="module")
def package(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, tmp_path_factory.mktemp("package"))


def mirror() -> tuple[str, str]:
    """Return the codename of this Debian, and where apt has it from."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    targets = run(
        "apt-get", "indextargets", "--format", "$(CODENAME) $(SUITE) $(REPO_URI)", "Created-By: Packages"
    )
    places = {line.split()[2] for line in targets.splitlines() if line.split()[0] == codename}
    assert places, f"apt has no sources for {codename}; has `apt-get update` been run?"
    return codename, min(places, key=lambda place: ("debian.org" not in place, place))


class Bare:
    """A root directory with a bare Debian in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        codename, place = mirror()
        include = "--include=python3,adduser"
        run("debootstrap", "--variant=minbase", include, codename, str(root), place)

    def run(self, *command: str) -> str:
        return run("chroot", str(self.root), *command)

    def files(self) -> set[str]:
        """Return the names of all files but those of dpkg, and what it and adduser write about themselves."""
        theirs = (
            "var/lib/dpkg/",
            "var/log/",
            "var/cache/",
            "etc/passwd",
            "etc/shadow",
            "etc/group",
            "etc/gshadow",
        )
        theirs += ("etc/subuid", "etc/subgid", "proc/", "run/", "tmp/")
        names = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*"))
        return {name for name in names if not name.startswith(theirs)}

    def install(self, package: Path) -> None:
        (self.root / "tmp/package.deb").write_bytes(package.read_bytes())
        self.run("dpkg", "--install", "/tmp/package.deb")

    @contextmanager
    def daemon(self) -> Iterator[int]:
        """Run the daemon as its unit does: as its own account, with the directories that systemd makes."""
        for name in ("run/compartmentd", "var/lib/compartmentd"):
            directory = self.root / name
            directory.mkdir(exist_ok=True)
            self.run("chown", "compartmentd:compartmentd", f"/{name}")
        log = self.root / "tmp/log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *("setpriv", "--no-new-privs", "chroot", "--userspec=compartmentd:compartmentd"),
                    *(str(self.root), "/usr/bin/compartmentd", "serve", "--config", CONFIG),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "RUNTIME_DIRECTORY": "/run/compartmentd"},
                cwd="/",
            )
        try:
            deadline = time.monotonic() + seconds(30)
            while not (found := listening(process.pid)):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            ((_, port),) = found
            yield port
            process.terminate()
            assert process.wait(seconds(30)) == 0, log.read_text()
            assert "Traceback" not in log.read_text()
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    assert os.geteuid() == 0, "a root directory is made, and entered, by root alone"
    yield Bare(tmp_path / "root")
    shutil.rmtree(tmp_path / "root")


def with_version(package: Path, version: str, directory: Path) -> Path:
    """Return the package as if it had another version."""
    tree = directory / "unpacked"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(
        re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE)
    )
    made = directory / f"compartmentd_{version}.deb"
    run("dpkg-deb", "--build", tree, made)
    return made


async def joins_the_lobby(port: int) -> None:
    client = await RawClient.open(f"http://127.0.0.1:{port}")
    await client.connect()
    assert (await client.call("/", "join", "lobby"))["ok"]
    await client.close()
    await eventually(lambda: client.closed, "its end")


async def test_a_whole_life(bare: Bare, package: Path, tmp_path: Path) -> None:
    before = bare.files()
    bare.install(package)
    assert bare.run("compartmentd", "--version").split()[-1] == __version__
    account = ["setpriv", "--reuid=compartmentd", "--regid=compartmentd", "--init-groups"]
    bare.run(*account, "compartmentd", "check", CONFIG)  # the state directory is made by the unit
    assert (bare.root / CONFIG[1:]).stat().st_mode & 0o007 == 0

    config = bare.root / CONFIG[1:]
    config.write_text(config.read_text().replace("127.0.0.1:8000", "127.0.0.1:0"))
    with bare.daemon() as port:
        await joins_the_lobby(port)
        said = bare.run("compartmentd", "status", "--socket", "/run/compartmentd/admin.sock")
        assert "generation 1" in said

    bare.install(with_version(package, f"{__version__}+1", tmp_path))
    assert "127.0.0.1:0" in config.read_text(), "what the administrator wrote stays"
    with bare.daemon() as port:
        await joins_the_lobby(port)

    bare.run("dpkg", "--remove", "compartmentd")
    assert not (bare.root / "usr/lib/compartmentd").exists()
    assert not (bare.root / "usr/bin/compartmentd").exists()
    assert config.exists()
    bare.run("dpkg", "--purge", "compartmentd")
    assert bare.files() - before == set()


def test_the_package_holds_its_own_environment_and_nothing_of_the_builder(
    package: Path, tmp_path: Path
) -> None:
    run("dpkg-deb", "--raw-extract", package, tmp_path / "unpacked")
    files = [path for path in (tmp_path / "unpacked").rglob("*") if path.is_file() and not path.is_symlink()]
    names = {path.relative_to(tmp_path / "unpacked").as_posix() for path in files}
    assert "lib/systemd/system/compartmentd.service" in names
    assert any(name.endswith("compartmentd/schemas/compartmentd.schema.json") for name in names)
    builder = re.compile(rb"/tmp/tmp\.|" + re.escape(str(tree).encode()))
    ours = [path for path in files if path.suffix != ".so"]
    assert [str(path) for path in ours if builder.search(path.read_bytes())] == []


def test_the_same_tree_gives_the_same_package(tree: Path, package: Path, tmp_path: Path) -> None:
    again = build(tree, tmp_path)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (package, again)]
    assert digests[0] == digests[1]
