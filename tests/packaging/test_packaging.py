"""The wheel is whole: installed away from the checkout, the command line finds all that it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Build the wheel from the checkout and unpack it elsewhere; nothing is fetched."""
    built, target = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-build-isolation", "--no-deps", "-w", built, ROOT], check=True)
    (wheel,) = built.glob("compartmentd-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True)
    return target


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compartmentd", *arguments],
        cwd=installed,
        env={"PYTHONPATH": str(installed), "COMPARTMENTD_BACKEND_SECRET": "s" * 32},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_schema_comes_with_the_wheel(installed):
    done = run(installed, "schema")
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads((ROOT / "schemas/editor.schema.json").read_text())


def test_the_wheel_checks_the_reference_configuration(installed):
    done = run(installed, "check", "--format", "json", str(ROOT / "config/compartments.yaml"))
    assert done.returncode == 0
    assert {problem["severity"] for problem in json.loads(done.stdout)["problems"]} == {"note"}


def test_the_wheel_holds_what_is_served_and_every_licence(installed):
    pages = ROOT / "compartmentd/http/pages"
    served = [path.relative_to(ROOT) for path in pages.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert served
    assert [path for path in served if not (installed / path).is_file()] == []
    licences = [
        path.name for path in installed.glob("compartmentd-*.dist-info/licenses/**/*") if path.is_file()
    ]
    assert len(licences) >= 2, "ours, and that of the client's bundle"
