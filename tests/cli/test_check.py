"""`check` and `schema`, as they are called."""

from __future__ import annotations

import io
import json
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from compartmentd.cli import find_config, main as main_module
from compartmentd.cli.annotations import format_github
from compartmentd.cli.examples import EXAMPLES, OTHER_NAMES
from compartmentd.cli.main import COMMANDS, cli
from compartmentd.document.bundled import EDITOR, EDITOR_INCLUDED, schema
from compartmentd.errors import UsageError
from compartmentd.problems import Problem, Span
from tests.support import certificates

CONFIG = Path(__file__).parents[2] / "config/compartments.yaml"
GOOD = "version: 1\nnamespaces: {/: {connect: public}}\n"
WARNS = GOOD + 'include: ["none/*.yaml"]\n'
RELATIVE = "paths are relative to this file"
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
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        "fine: 1 file, 0 issuers, 1 namespace, 0 room templates\n",
    )


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


@pytest.mark.parametrize("arguments", [["--format", "yaml", "x.yaml"], ["--unknown"]])
def test_wrong_usage(check, arguments):
    assert check(*arguments).exit_code == 2


def test_the_reference_configuration_has_notes_only(monkeypatch):
    monkeypatch.setenv("COMPARTMENTD_BACKEND_SECRET", "x" * 32)
    # Whether another process has the ports of this machine is no matter of the file.
    monkeypatch.setattr("compartmentd.cli.check.find_taken_addresses", lambda *_: ())
    result = CliRunner().invoke(cli, ["check", str(CONFIG)])
    assert result.exit_code == 0
    assert result.stderr == "fine (2 notes): 2 files, 2 issuers, 2 namespaces, 6 room templates\n"


# --- the configuration that nobody names ---------------------------------------------------------------------


def test_the_file_of_the_working_directory_is_checked(check, tmp_path):
    (tmp_path / "compartments.yaml").write_text(WRONG)
    assert check().stdout.startswith("compartments.yaml:2:18: error: ")


def test_else_that_of_the_system(check, tmp_path, monkeypatch):
    monkeypatch.setattr(find_config, "SYSTEM", str(tmp_path / "etc.yaml"))
    (tmp_path / "etc.yaml").write_text(WRONG)
    assert check().stdout.startswith(f"{tmp_path}/etc.yaml:2:18: error: ")


def test_without_either_it_is_wrong_usage(check, tmp_path, monkeypatch):
    monkeypatch.setattr(find_config, "SYSTEM", str(tmp_path / "etc.yaml"))
    result = check()
    assert isinstance(result.exception, UsageError)
    assert "there is no `compartments.yaml` here" in str(result.exception)


# --- what only `serve` would meet ----------------------------------------------------------------------------


def test_a_state_directory_that_serve_refuses_is_a_note(check, tmp_path):
    text = GOOD + "server: {state: state}\n"
    result = check(a=text)
    assert result.stdout.startswith(
        "a.yaml:3:10: note: `serve` would refuse the state directory `state`: it is not there"
    )
    assert result.exit_code == 0
    assert check("--strict", a=text).exit_code == 1
    (tmp_path / "state").write_text("")
    assert "it is no directory" in check(a=text).stdout
    (tmp_path / "state").unlink()
    (tmp_path / "state").mkdir()
    assert check(a=text).stdout == ""


def test_a_development_key_is_a_note(check, tmp_path):
    (tmp_path / "dev.key").write_text("compartmentd-development-" + "x" * 32)
    text = GOOD + "issuers: {a: {issuer: a, audience: b, secret_file: dev.key}}\n"
    result = check(a=text)
    assert "a.yaml:3:52: note: `serve` refuses the development key `dev.key` without `--dev`" in result.stdout
    assert "xxxx" not in result.stdout
    assert check("--strict", a=text).exit_code == 1


def list_codes(result):
    return [problem["code"] for problem in json.loads(result.stdout)["problems"]]


@pytest.mark.parametrize(("end", "told"), [(b"\r\n", True), (b"\r", True), (b"\n", False), (b"", False)])
def test_a_secret_with_a_carriage_return_is_warned_of(check, tmp_path, end, told):
    (tmp_path / "a.key").write_bytes(b"s" * 32 + end)
    text = GOOD + "issuers: {a: {issuer: a, audience: b, secret_file: a.key}}\n"
    result = check(a=text)
    assert ("a.yaml:3:52: warning: `a.key` ends with a carriage return" in result.stdout) is told
    assert "sss" not in result.stdout
    assert ("secret.carriage-return" in list_codes(check("--format=json", a=text))) is told


def test_an_address_that_is_taken_is_a_note(check, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        text = f'{GOOD}server: {{listen: ["127.0.0.1:{port}"]}}\n'
        result = check(a=text)
        assert (
            f"a.yaml:3:10: note: `serve` cannot listen on port {port}: address already in use"
            in result.stdout
        )
        assert result.exit_code == 0
        assert list_codes(check("--format=json", a=text)) == ["address.in-use"]
        assert check("--strict", a=text).exit_code == 1
        with socket.socket(socket.AF_UNIX) as admin:  # the daemon itself has it
            admin.bind(str(tmp_path / "admin.sock"))
            admin.listen(1)
            assert check(a=text).stdout == ""
    assert check(a=text).stdout == ""


# --- the forms of other programs -----------------------------------------------------------------------------


def test_github_shows_each_problem_at_its_line(check):
    result = check("--format", "github", wrong=WRONG, warns=WARNS)
    first = "file=wrong.yaml,line=2,col=18,endLine=2,endColumn=24"
    second = "file=warns.yaml,line=3,col=11,endLine=3,endColumn=24"
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"::error {first},title=schema.unknown-key::unknown key `conect`%0Ahelp: did you mean `connect`?",
        f"::warning {second},title=include.nothing::`none/*.yaml` matches no file%0Ahelp: {RELATIVE}",
    ]


def test_what_would_end_a_command_of_github_is_escaped():
    problem = Problem("note", "problem.other", "50% a", Span("a,b:c.yaml", 1, 2, 1, 3), "write\nb")
    (line,) = format_github([problem])
    assert line.startswith("::notice file=a%2Cb%3Ac.yaml,line=1,col=2,")
    assert line.endswith("title=problem.other::50%25 a%0Ahelp: write%0Ab")


def test_sarif_has_what_code_scanning_needs(check):
    result = check("--format", "sarif", **{"wrong": WRONG, "wa rns": WARNS})
    assert result.exit_code == 1
    log = json.loads(result.stdout)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["include.nothing", "schema.unknown-key"]
    assert all(rule["shortDescription"]["text"] and rule["help"]["text"] for rule in rules)
    first, second = run["results"]
    assert (first["ruleId"], rules[first["ruleIndex"]]["id"], first["level"]) == (
        "schema.unknown-key",
        "schema.unknown-key",
        "error",
    )
    assert first["message"]["text"] == "unknown key `conect`. Help: did you mean `connect`?"
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "wrong.yaml"},
                "region": {"startLine": 2, "startColumn": 18, "endLine": 2, "endColumn": 24},
            }
        }
    ]
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "wa%20rns.yaml"
    assert second["level"] == "warning"


def test_sarif_of_a_good_file_has_no_results(check):
    assert json.loads(check("--format", "sarif", good=GOOD).stdout)["runs"][0]["results"] == []


# --- schema and the rest -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("chekc", "did you mean `check`?"),
        ("reloed", "did you mean `reload`?"),
        ("explain_token", "did you mean `explain-token`?"),
        ("validate", "did you mean `check`?"),
        ("lint", "did you mean `check`?"),
        ("start", "did you mean `serve`?"),
        ("logs", "did you mean `tail`?"),
        ("ps", "did you mean `sessions`?"),
        ("zebra", "the commands are init,"),
    ],
)
def test_an_unknown_command_names_the_one_that_was_meant(name, meant):
    result = CliRunner().invoke(cli, [name])
    assert result.exit_code == 2
    assert f"no command `{name}`: {meant}" in result.stderr


def test_other_names_are_no_commands_and_lead_to_some():
    assert not OTHER_NAMES.keys() & COMMANDS.keys()
    assert set(OTHER_NAMES.values()) <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_that_are_called_right(name):
    shown = CliRunner().invoke(cli, [name, "--help"]).stdout
    assert EXAMPLES[name]
    for line, _ in EXAMPLES[name]:
        assert line in shown
        words = shlex.split(
            line.partition(" < ")[0].partition(" > ")[0].removeprefix("source <(").removesuffix(")")
        )
        assert words[:2] == ["compartmentd", name]
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_parser(click.Context(command)).parse_args(words[2:])


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
    assert result.stderr == "fine (1 note): 1 file, 1 issuer, 1 namespace, 0 room templates\n"


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
