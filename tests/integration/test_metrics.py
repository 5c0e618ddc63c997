"""`/metrics` of the real daemon, looked at with Prometheus's own tool, and the monitoring that is built on it."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from compartmentd.telemetry.metric_table import METRICS, full_name
from tests.integration import world
from tests.support import certificates
from tests.support.daemon import ADMIN, Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient
from tests.support.timing import eventually

MONITORING = Path(__file__).parents[2] / "config" / "monitoring"
SECRET_NAMES = ("ann-the-user", "zeus-the-project", "eve@example.com")

pytestmark = pytest.mark.slow


def scrape(daemon: Daemon) -> str:
    """Ask the admin listener on TCP, as Prometheus does: without a token."""
    url = f"{daemon.admin_url}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own listener
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text: str = answer.read().decode()
    return text


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples by name and label values, in the order of the labels' names."""
    return {
        (sample.name.removeprefix("compartmentd_"), *(sample.labels[key] for key in sorted(sample.labels))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """Run Debian's promtool, which must have nothing to say against it."""
    done = subprocess.run(
        ["promtool", *arguments],
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=MONITORING,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def used(daemon: Daemon, corp: Issuer) -> None:
    """Let the daemon do one of everything that is counted by name."""
    ann, eve = await RawClient.open(daemon.url), await RawClient.open(daemon.url)
    token = corp.token("ann-the-user", scope=world.CHAT, projects=["zeus-the-project"])
    await ann.connect("/chat", token)
    assert (await ann.call("/chat", "join", "project:zeus-the-project"))["ok"]
    assert (await ann.call("/chat", "join", "lobby"))["ok"]
    assert not (await ann.call("/chat", "join", "project:other"))["ok"]
    assert not (await ann.call("/chat", "join", "no-such-room-as-this"))["ok"]
    assert (await ann.call("/chat", "publish", "lobby", "message", {"text": "hello"}))["ok"]
    await eve.connect("/", corp.token("eve@example.com"))
    for name in ("/no-such-namespace-as-this", "/nor-this"):
        assert (await eve.connect(name)).error == {"message": "Invalid namespace"}
    await eve.close()
    await eventually(lambda: daemon.status()["connections"] == 1, "the daemon has noticed, too")
    text = scrape(daemon)
    samples = values(text)
    expected = {
        ("connections", "websocket"): 1,
        ("connections_opened_total",): 2,
        ("sessions", "/chat"): 1,
        ("sessions", "/"): 0,
        ("rooms", "/chat", "project:{project}"): 1,
        ("memberships", "/chat", "lobby"): 1,
        ("messages_published_total",): 1,
        ("decisions_total", "allowed", "/chat", "connect"): 1,
        ("decisions_total", "invalid_namespace", "(undeclared)", "connect"): 2,
        ("decisions_total", "unknown_room", "/chat", "join"): 1,
        ("decisions_total", "rule_denied", "/chat", "join"): 1,
        ("token_verifications_total", "signature"): 2,
        ("keys", "corp"): 1,
        ("config_generation",): 1,
        ("config_last_reload_successful",): 1,
    }
    assert {key: samples.get(key) for key in expected} == expected
    for name in (*SECRET_NAMES, "namespace-as-this", "nor-this"):
        assert name not in text
    promtool("check", "metrics", stdin=text)
    await ann.close()


async def test_what_happened_is_told_in_the_form_that_prometheus_wants(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"admin": [f"{ADMIN}:0"]}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        await used(daemon, corp)
        daemon.change("namespaces", "/chat", "connect", to="no rule")
        assert daemon.run("reload").code == 1
        text = scrape(daemon)
        samples = values(text)
        assert samples["config_last_reload_successful",] == 0
        assert samples["config_reloads_total", "refused"] == 1
        kinds = dict(re.findall(r"^# TYPE (compartmentd_\w+) (\w+)$", text, re.MULTILINE))
        assert kinds == {full_name(name): metric.kind for name, metric in METRICS.items()}


def expressions() -> list[str]:
    """Return every expression of the dashboard, with its variables filled in."""
    dashboard: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(found) > 20
    return [re.sub(r"\$__rate_interval", "5m", one).replace("$", "") for one in found]


def test_the_alert_rules_fire_when_they_should() -> None:
    assert "alerts.yaml" in promtool("check", "config", "prometheus.yaml"), "it names the rules"
    promtool("check", "rules", "alerts.yaml")
    assert "SUCCESS" in promtool("test", "rules", "alerts.test.yaml")


def test_every_expression_of_the_dashboard_is_one(tmp_path: Path) -> None:
    rules = [{"record": f"panel:number:{n}", "expr": one} for n, one in enumerate(expressions())]
    file = tmp_path / "dashboard.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


async def test_no_alert_and_no_panel_waits_for_a_metric_that_there_is_not(
    tmp_path: Path, corp: Issuer
) -> None:
    alerts = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    rules = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    wanted = set(re.findall(r"\b(?:compartmentd|process)_\w+", " ".join([*rules, *expressions()])))
    settings = world.settings() | {"server": {"admin": [f"{ADMIN}:0"]}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        text = scrape(daemon)
    known = {
        name
        for line in text.splitlines()
        if line.startswith("# TYPE")
        for name in (line.split()[2], line.split()[2] + "_bucket")
    }
    assert wanted - known == set()


async def test_the_certificate_of_the_listeners_has_an_end_that_alerts_can_watch(
    tmp_path: Path, corp: Issuer
) -> None:
    certificates.write(tmp_path, certificates.make())
    settings = world.settings() | {"server": {"tls": {"cert": "server.crt", "key": "server.key"}}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        samples = values(daemon.get("/metrics").body.decode())
        expires = daemon.status()["tls"]["expires"]
    assert samples["certificate_expiry_timestamp_seconds",] == pytest.approx(expires / 1000, abs=1)
