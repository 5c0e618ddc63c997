"""`check` and `schema`, as they are called."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import main as main_module
from compartmentd.cli.main import cli
from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, schema
from compartmentd.errors import UsageError
from tests.support import certificates

CONFIG = Path(__file__).parents[2] / "config/compartments.yaml"
GOOD = "version: 1\nnamespaces: {/: {connect: public}}\n"
WARNS = GOOD + 'include: ["none/*.yaml"]\n'
WRONG = "version: 1\nnamespaces: {/: {conect: public}}\n"
NOTED = GOOD + "issuers: {a: {issuer: a, audience: b, secret_env: COMPARTMENTD_TEST_SECRET}}\n"


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Run `check` on files with the given texts, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPARTMENTD_TEST_SECRET", raising=False)

    def run(*arguments: str, **texts: str) -> Result:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return CliRunner().invoke(cli, ["check", *arguments, *(f"{name}.yaml" for name in texts)])

    return run


def test_a_good_file_is_fine(check):
    result = check(good=GOOD)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "fine\n")


def test_problems_are_located_lines_with_help(check):
    result = check(wrong=WRONG)
    assert result.exit_code == 1
    assert result.stdout == (
        "wrong.yaml:2:18: error: unknown key `conect`\n    help: did you mean `connect`?\n"
    )
    assert result.stderr == "1 error\n"


def test_several_files_are_checked_one_after_the_other(check):
    result = check(good=GOOD, wrong=WRONG, warns=WARNS)
    assert result.exit_code == 1
    assert [line.split(":")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        "wrong.yaml",
        "warns.yaml",
    ]
    assert result.stderr == "1 error, 1 warning\n"


def test_json_is_one_document(check):
    result = check("--format", "json", wrong=WRONG)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": "wrong.yaml",
                "line": 2,
                "column": 18,
                "severity": "error",
                "code": "schema.unknown-key",
                "message": "unknown key `conect`",
                "help": "did you mean `connect`?",
            }
        ],
    }


@pytest.mark.parametrize(("text", "severity"), [(WARNS, "warning"), (NOTED, "note")])
def test_strict_makes_everything_an_error(check, text, severity):
    lenient, strict = check("--format=json", a=text), check("--strict", "--format=json", a=text)
    assert [problem["severity"] for problem in json.loads(lenient.stdout)["problems"]] == [severity]
    assert [problem["severity"] for problem in json.loads(strict.stdout)["problems"]] == ["error"]
    assert (json.loads(lenient.stdout)["ok"], lenient.exit_code) == (True, 0)
    assert (json.loads(strict.stdout)["ok"], strict.exit_code) == (False, 1)


def test_a_file_that_is_not_there(check):
    result = check("gone.yaml")
    assert result.exit_code == 1
    assert result.stdout == "gone.yaml:1:1: error: `gone.yaml`: no such file or directory\n"


def test_keys_are_read_too_beside_other_problems(check, monkeypatch):
    monkeypatch.setenv("COMPARTMENTD_TEST_SECRET", "short-secret")
    result = check(noted=NOTED + "rules: {a: {rule: b}}\n")
    assert result.exit_code == 1
    assert [line.split(" ")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        "noted.yaml:3:51:",
        "noted.yaml:4:19:",
    ]
    assert "short-secret" not in result.stdout


def test_a_key_file_is_read_too(check, tmp_path):
    (tmp_path / "keys.json").write_text('{"keys": []}')
    result = check(a=GOOD + "issuers: {a: {issuer: a, audience: b, jwks_file: keys.json}}\n")
    assert result.exit_code == 1
    assert result.stdout.startswith("a.yaml:3:50: error: ")


@pytest.mark.parametrize("arguments", [[], ["--format", "yaml", "x.yaml"], ["--unknown"]])
def test_wrong_usage(check, arguments):
    assert check(*arguments).exit_code == 2


def test_the_reference_configuration_has_notes_only(monkeypatch):
    monkeypatch.setenv("COMPARTMENTD_BACKEND_SECRET", "x" * 32)
    result = CliRunner().invoke(cli, ["check", str(CONFIG)])
    assert result.exit_code == 0
    assert result.stderr == "fine (2 notes)\n"


# --- schema and the rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["schema"], EDITOR),
        (["schema", "--format", "json"], EDITOR),
        (["schema", "--included"], EDITOR_INCLUDED),
    ],
)
def test_schema_prints_the_schema_for_editors(arguments, file):
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == schema(file)


def test_unknown_commands_are_wrong_usage():
    assert CliRunner().invoke(cli, ["chekc"]).exit_code == 2


def test_every_command_has_help():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "check" in result.stdout
    assert "schema" in result.stdout


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compartmentd", *arguments], capture_output=True, text=True, check=False
    )


def test_check_as_a_process(tmp_path):
    (tmp_path / "c.yaml").write_text(WRONG)
    done = run("check", str(tmp_path / "c.yaml"))
    assert done.returncode == 1
    assert done.stdout.startswith(f"{tmp_path}/c.yaml:2:18: error: ")
    assert "\x1b" not in done.stdout


def test_a_check_imports_neither_server_nor_cryptography(tmp_path):
    (tmp_path / "c.yaml").write_text(GOOD)
    script = (
        "import sys\n"
        "from compartmentd.cli.main import cli\n"
        f"cli.main(['check', {str(tmp_path / 'c.yaml')!r}], standalone_mode=False)\n"
        "slow = {'tornado', 'jwt', 'cryptography', 'asyncio'}\n"
        "print(sorted(slow & {name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_defect_of_ours_is_one_line(monkeypatch, capsys):
    def fail(**_: object) -> None:
        raise KeyError("deep")

    monkeypatch.setattr(main_module.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        main_module.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "error: internal error, please report it: KeyError: 'deep'\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UsageError("say which file"), 2, "error: say which file\n"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_what_ends_a_command(monkeypatch, error, code, told):
    def fail(**_: object) -> None:
        raise error

    told_to = io.StringIO()
    monkeypatch.setattr(main_module.cli, "main", fail)
    monkeypatch.setattr(sys, "stderr", told_to)
    monkeypatch.setattr(told_to, "close", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main_module.main()
    assert ended.value.code == code
    assert told_to.getvalue() == told


def test_a_key_file_that_cannot_be_read_is_told_once(check):
    result = check(a=GOOD + "issuers: {a: {issuer: a, audience: b, jwks_file: gone.json}}\n")
    assert result.exit_code == 0
    assert result.stderr == "fine (1 note)\n"


def test_a_certificate_is_read_with_its_key(check, tmp_path):
    secured = GOOD + "server:\n  tls: {cert: server.crt, key: server.key}\n"
    certificates.write(tmp_path, certificates.make())
    assert check(secured=secured).exit_code == 0
    (tmp_path / "server.key").write_bytes(certificates.make().key)
    result = check(secured=secured)
    assert result.exit_code == 1
    assert result.stdout.startswith(
        "secured.yaml:4:32: error: the private key in `server.key` does not belong"
    )
    certificates.write(tmp_path, certificates.make(starts=-2, ends=-1))
    told = check(secured=secured).stdout
    assert told.startswith("secured.yaml:4:15: warning: the certificate in `server.crt` has expired")
    (tmp_path / "server.key").unlink()
    result = check(secured=secured)
    assert result.exit_code == 0
    assert result.stdout.count("server.key") == 1, "told once, as a note"


def test_a_key_is_not_held_against_algorithms_that_are_already_refused(check, tmp_path):
    (tmp_path / "key").write_bytes(b"k" * 32)
    entry = "{issuer: a, audience: b, secret_file: key, algorithms: [none]}"
    result = check("--format", "json", a=f"{GOOD}issuers: {{a: {entry}}}\n")
    assert [problem["code"] for problem in json.loads(result.stdout)["problems"]] == ["schema.value"]
