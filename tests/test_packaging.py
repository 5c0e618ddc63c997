"""The wheel is the whole product: installed alone, it checks a file, prints the schema, and holds the pages."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the build backend of the lock file."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(directory)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    [built] = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack it to a place of its own, which is what installing a pure wheel does (PEP 427)."""
    directory = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


def run(installed: Path, *arguments: str, cwd: Path) -> str:
    """Run Python where the unpacked wheel comes before the tree, away from the tree."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, cwd=cwd, env=environment
    )
    return done.stdout


def test_the_installed_package_checks_a_file_with_its_own_schema(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "-c", "import compartmentd; print(compartmentd.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed)
    (tmp_path / "good.yaml").write_text("version: 1\nnamespaces: {/: {connect: public}}\n")
    run(installed, "-m", "compartmentd", "check", "good.yaml", cwd=tmp_path)
    schema = run(installed, "-m", "compartmentd", "schema", cwd=tmp_path)
    assert schema == (ROOT / "schemas/compartmentd.schema.json").read_text()


def test_the_wheel_holds_everything_that_is_served_and_every_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    pages = ROOT / "compartmentd/server/pages"
    served = {
        path.relative_to(ROOT).as_posix()
        for path in pages.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert served
    assert served <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/", "config/"))]
