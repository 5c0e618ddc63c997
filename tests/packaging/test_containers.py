"""The image and the manifest: what they name exists, what they run is our command line."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from compartmentd.cli.main import cli
from compartmentd.configuration.compiler import Loaded, load
from compartmentd.storage.files import Disk
from tests.support.daemon import ADMIN, Daemon
from tests.support.mint import Issuer
from tests.support.timing import seconds

ROOT = Path(__file__).parents[2]


class Instruction:
    """A line of the Containerfile, continuations joined."""

    def __init__(self, text: str) -> None:
        self.name, _, self.rest = text.partition(" ")

    @property
    def words(self) -> list[str]:
        """The words that are not flags; those of an exec form are its items."""
        found = re.search(r"\[.*\]$", self.rest)
        words = json.loads(found[0]) if found else shlex.split(self.rest)
        return [word for word in words if found or not word.startswith("--")]


def instructions() -> list[Instruction]:
    text = (ROOT / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Instruction(line) for line in joined.splitlines()]


def last(name: str) -> Instruction:
    return [one for one in instructions() if one.name == name][-1]


def parsed(words: list[str]) -> click.Context:
    """Return a command line of ours as click reads it; raises for what it would refuse."""
    assert words[0] == "compartmentd"
    command = cli.get_command(click.Context(cli), words[1])
    assert command is not None
    return command.make_context(words[1], words[2:])


# --- the image ----------------------------------------------------------------------------------------------------


def test_it_copies_what_is_there_and_all_that_the_wheel_is_made_of() -> None:
    copied = set()
    for one in instructions():
        if one.name == "COPY" and "--from=" not in one.rest:
            copied.update(one.words[:-1])
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert copied >= {
        "compartmentd",
        "schemas",
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "requirements.lock",
    }


def test_every_stage_that_is_named_exists() -> None:
    stages = {
        one.rest.split(" AS ")[1] for one in instructions() if one.name == "FROM" and " AS " in one.rest
    }
    named = {match for one in instructions() for match in re.findall(r"--from=(\S+)", one.rest)}
    assert named == stages


def test_what_is_installed_is_held_by_hashes() -> None:
    installs = [
        line
        for one in instructions()
        if one.name == "RUN"
        for line in one.rest.split("&&")
        if " install " in line and "pip" in line
    ]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-index" in line for line in installs)


def test_it_does_not_run_as_root() -> None:
    user, _, group = last("USER").rest.partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert instructions()[-1].name == "CMD"


def test_what_it_runs_is_our_command_line() -> None:
    context = parsed([*last("ENTRYPOINT").words, *last("CMD").words])
    assert context.params["last_good"]
    assert context.params["path"] == "/etc/compartmentd/compartments.yaml"


def test_its_health_is_asked_where_the_daemon_answers() -> None:
    environment = dict(word.split("=", 1) for word in last("ENV").words)
    context = parsed(last("HEALTHCHECK").words)
    assert context.params["socket_path"] == f"{environment['RUNTIME_DIRECTORY']}/admin.sock"


# --- the manifest -------------------------------------------------------------------------------------------------


def manifest() -> dict[str, Any]:
    documents = yaml.safe_load_all((ROOT / "config/kubernetes/compartmentd.yaml").read_text())
    return {document["kind"]: document for document in documents}


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = manifest()["StatefulSet"]["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    [one] = pod()["containers"]
    return dict(one)


def mounts() -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    for name, text in manifest()["ConfigMap"]["data"].items():
        (tmp_path / name).write_text(text)
    return load(str(tmp_path / "compartments.yaml"), Disk(), serving=True)


def test_its_configuration_checks(loaded: Loaded) -> None:
    # Probes and scrapers reach the admin port of a pod, and nothing else does: the page says so.
    assert [problem.code for problem in loaded.problems] == ["address.unsafe"]


def test_labels_volumes_and_ports_meet(loaded: Loaded) -> None:
    kinds = manifest()
    labels = kinds["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert kinds["Service"]["spec"]["selector"] == labels
    assert kinds["StatefulSet"]["spec"]["selector"]["matchLabels"] == labels
    claims = [claim["metadata"]["name"] for claim in kinds["StatefulSet"]["spec"]["volumeClaimTemplates"]]
    assert {volume["name"] for volume in pod()["volumes"]} | set(claims) == set(mounts())
    assert pod()["volumes"][0]["configMap"]["name"] == kinds["ConfigMap"]["metadata"]["name"]
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert loaded.configuration is not None
    server = loaded.configuration.server
    assert [address.port for address in server.listen] == [ports["http"]]  # type: ignore[union-attr]  # TCP ones
    assert [address.port for address in server.admin] == [ports["admin"]]  # type: ignore[union-attr]  # TCP ones
    assert [port["targetPort"] for port in kinds["Service"]["spec"]["ports"]] == ["http"], (
        "never the admin one"
    )
    assert server.state == mounts()["state"]


def test_a_changed_configmap_arrives() -> None:
    assert not any("subPath" in mount for mount in container()["volumeMounts"])
    assert (
        f"{mounts()['config']}/compartments.yaml"
        == parsed(["compartmentd", *last("CMD").words]).params["path"]
    )


def test_the_image_and_the_manifest_agree() -> None:
    environment = dict(word.split("=", 1) for word in last("ENV").words)
    assert mounts()["run"] == environment["RUNTIME_DIRECTORY"]
    assert mounts()["state"] == environment["STATE_DIRECTORY"]
    context = pod()["securityContext"]
    assert last("USER").rest == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert context["fsGroup"] == context["runAsGroup"], "the state's volume is writable for it"


def test_it_may_nothing_that_it_does_not_need() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_is_given_the_time_to_drain(loaded: Loaded) -> None:
    assert loaded.configuration is not None
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod()["terminationGracePeriodSeconds"] >= pause + loaded.configuration.server.drain + 5


def test_its_probes_are_answered(tmp_path: Path) -> None:
    settings = yaml.safe_load(manifest()["ConfigMap"]["data"]["compartments.yaml"])
    settings["server"] |= {"listen": ["127.0.0.1:0"], "admin": [f"{ADMIN}:0"], "state": "state"}
    del settings["issuers"]  # its keys are fetched from afar
    (tmp_path / "state").mkdir()
    with Daemon(tmp_path, settings, Issuer("corp")) as daemon:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            target = container()[probe]["httpGet"]
            assert target["port"] == "admin"
            url = daemon.admin_url + target["path"]  # by address, as the kubelet asks
            with urllib.request.urlopen(url, timeout=seconds(5)) as answer:  # noqa: S310 - http, and our own daemon
                assert answer.status == 200, probe


def test_the_builder_names_the_base_by_a_digest() -> None:
    [base] = [one.rest for one in instructions() if one.name == "ARG"]
    assert base.startswith("BASE=docker.io/library/python:")
    assert {one.words[0] for one in instructions() if one.name == "FROM"} == {"${BASE}"}
