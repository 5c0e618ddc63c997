"""The units as systemd itself reads them: nothing in them is unknown to it, and little is open."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

UNITS = Path(__file__).parents[2] / "config/systemd"
COMMAND = "/usr/bin/compartmentd"
KNOWN_SINCE_253 = "Failed to parse service type, ignoring: notify-reload"

INSTANCES = {
    "compartmentd@.service": "compartmentd@8010.service",
    "compartmentd@.socket": "compartmentd@8010.socket",
}


def analyze(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def complaints(directory: Path, unit: str) -> list[str]:
    """Return what systemd has to say of a unit, but for the line that only later versions know."""
    done = analyze("verify", "--man=no", str(directory / unit), SYSTEMD_UNIT_PATH=f"{directory}:")
    lines = [line for line in done.stderr.splitlines() if str(directory) in line or "compartmentd" in line]
    return [line for line in lines if not line.endswith(KNOWN_SINCE_253)] + ["failed"] * done.returncode


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Units as if installed, with a command that exists here; a template is read as one of its instances."""
    for path in UNITS.iterdir():
        name = INSTANCES.get(path.name, path.name)
        (tmp_path / name).write_text(path.read_text().replace(COMMAND, "/bin/true"))
    return tmp_path


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    units = sorted(path.name for path in installed.glob("*.service")) + sorted(
        path.name for path in installed.glob("*.socket")
    )
    assert len(units) == 6
    assert {unit: complaints(installed, unit) for unit in units} == {unit: [] for unit in units}


def test_the_drop_in_with_credentials_fits_its_unit(installed: Path) -> None:
    drop_ins = installed / "compartmentd.service.d"
    drop_ins.mkdir()
    (drop_ins / "credentials.conf").write_text((UNITS / "credentials.conf").read_text())
    assert complaints(installed, "compartmentd.service") == []


@pytest.mark.parametrize(
    ("line", "named"),
    [("ProtectKernelTuneables=yes", "ProtectKernelTuneables"), ("WatchdogSec=often", "often")],
)
def test_a_mistake_in_a_unit_is_found(installed: Path, line: str, named: str) -> None:
    unit = installed / "compartmentd.service"
    unit.write_text(unit.read_text().replace("[Service]", f"[Service]\n{line}"))
    assert named in " ".join(complaints(installed, "compartmentd.service"))


@pytest.mark.parametrize(
    ("unit", "most"),
    [("compartmentd.service", 11), ("compartmentd@.service", 11), ("compartmentd-isolated.service", 3)],
)
def test_what_a_unit_leaves_open_is_little(unit: str, most: int) -> None:
    # The threshold is in tenths, as the score is shown: 11 is 1.1.
    done = analyze("security", "--offline=yes", f"--threshold={most}", str(UNITS / unit))
    assert done.returncode == 0, done.stdout


def test_a_unit_without_its_sandbox_is_found(tmp_path: Path) -> None:
    unit = tmp_path / "compartmentd.service"
    lines = (UNITS / unit.name).read_text().splitlines()
    unit.write_text("\n".join(line for line in lines if not line.startswith("SystemCallFilter=")))
    assert analyze("security", "--offline=yes", "--threshold=11", str(unit)).returncode != 0


def test_no_line_of_a_sandbox_is_missing_in_a_variant() -> None:
    tables = {
        path.name: {
            row["json_field"]: row["exposure"]
            for row in json.loads(analyze("security", "--offline=yes", "--json=short", str(path)).stdout)
        }
        for path in sorted(UNITS.glob("*.service"))
    }
    network = {"PrivateNetwork", "IPAddressDeny", "RestrictAddressFamilies_AF_INET_INET6"}
    default = tables.pop("compartmentd.service")
    assert default
    for name, table in tables.items():
        assert {field for field in default if table[field] != default[field]} <= network, name
