"""From files to a configuration: what is read, followed and hashed, and what serving needs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import Configuration, ServerSettings
from compartmentd.document.bundled import schema
from compartmentd.policy.model import Limits
from compartmentd.storage.files import Disk
from compartmentd.tokens.entry import DEFAULT_TYPES
from compartmentd.util.listen_address import SystemdAddress, TcpAddress, UnixAddress
from tests.support.cases import InMemory

REFERENCE = Path(__file__).parents[3] / "config/compartments.yaml"
MINIMAL = b"version: 1\nnamespaces: {/: {connect: public}}\n"
ISSUERS = b"issuers: {corp: {issuer: a, audience: b, %s}}\n"


def configuration(text: bytes, **files: bytes) -> Configuration:
    loaded = load("c.yaml", InMemory({"c.yaml": text, **files}))
    assert loaded.configuration is not None, loaded.problems
    return loaded.configuration


def codes(text: bytes, *, serving: bool = False, **variables: bytes) -> list[tuple[str, str]]:
    loaded = load("c.yaml", InMemory({"c.yaml": text}, variables), serving=serving)
    return [(problem.severity, problem.code) for problem in loaded.problems]


# --- the reference --------------------------------------------------------------------------------------------


def test_the_reference_configuration_checks_clean(monkeypatch):
    monkeypatch.setenv("COMPARTMENTD_BACKEND_SECRET", "x" * 32)
    loaded = load(str(REFERENCE), Disk(), serving=True)
    assert [(p.severity, p.code, p.span.line) for p in loaded.problems] == [
        ("note", "api.not-served", 28),
        ("note", "api.not-served", 53),
    ]
    assert loaded.configuration is not None


def test_the_reference_configuration_means_what_it_says():
    loaded = load(str(REFERENCE), Disk())
    assert loaded.configuration is not None
    policy = loaded.configuration.policy
    assert list(policy.namespaces) == ["/", "/chat"]
    assert [room.name for room in policy.namespaces["/chat"].rooms][:2] == ["lobby", "user:{user}"]
    corp, backend = loaded.configuration.issuers
    assert (corp.use, corp.algorithms, corp.sources[0].kind) == (
        ("connect", "admin"),
        ("RS256", "ES256"),
        "jwks_file",
    )
    assert (backend.use, backend.algorithms, backend.sources[0].name) == (
        ("api",),
        ("HS256",),
        "COMPARTMENTD_BACKEND_SECRET",
    )
    assert policy.namespaces["/"].issuers == ("corp",)
    project = policy.namespaces["/chat"].rooms[3]
    assert project.capacity == 200
    assert project.auto_join is not None
    assert project.auto_join.claims == (("project", ("projects",)),)
    assert project.events["typing"].volatile
    key = project.events["message"].schema
    assert key is not None
    assert policy.schemas[key] == msgspec.json.decode(
        (REFERENCE.parent / "events/message.schema.json").read_bytes()
    )
    assert {use.kind for use in loaded.configuration.files} == {"jwks_file", "schema"}


def test_a_configuration_travels_between_processes_whole():
    compiled = load(str(REFERENCE), Disk()).configuration
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(compiled), type=Configuration) == compiled


# --- defaults -------------------------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_schema():
    definitions = schema()["$defs"]
    written = {
        key: part["default"]
        for key, part in definitions["server"]["properties"].items()
        if "default" in part and key != "admin_access"
    }
    limits = {key: part["default"] for key, part in definitions["limits"]["properties"].items()}
    text = msgspec.json.encode(
        {"version": 1, "server": written, "limits": limits, "namespaces": {"/": {"connect": "public"}}}
    )
    compiled = configuration(text)
    assert compiled.server == ServerSettings()
    assert msgspec.structs.replace(compiled.policy.namespaces["/"].limits, spans=()) == Limits()


def test_the_defaults_of_an_issuer_are_those_of_the_schema():
    properties = schema()["$defs"]["issuer"]["properties"]
    given = {key: part["default"] for key, part in properties.items() if "default" in part}
    required = {"issuer": "a", "audience": "b", "secret_env": "SECRET"}
    spelled, silent = (
        configuration(msgspec.json.encode({"version": 1, "issuers": {"corp": entry}})).issuers[0]
        for entry in ({**required, **given}, required)
    )
    assert msgspec.structs.replace(spelled, span=silent.span, sources=silent.sources) == silent
    assert silent.types == DEFAULT_TYPES


@pytest.mark.parametrize(
    ("source", "algorithms"),
    [
        (b"secret_env: SECRET", ("HS256",)),
        (b"secret_file: k", ("HS256",)),
        (b"jwks_file: k", ("RS256", "PS256", "ES256", "EdDSA")),
        (b"public_key_file: k", ("RS256", "PS256", "ES256", "EdDSA")),
        (b"secret_env: SECRET, algorithms: [HS512]", ("HS512",)),
    ],
)
def test_the_default_algorithms_follow_the_key(source, algorithms):
    (entry,) = configuration(MINIMAL + ISSUERS % source, k=b"").issuers
    assert entry.algorithms == algorithms


# --- server ---------------------------------------------------------------------------------------------------


def test_the_server_as_written():
    server = b"""server:
  listen: ["127.0.0.1:0", "*:8000", "[::1]:9000", "unix:/run/c.sock", "systemd:web"]
  admin: ["127.0.0.1:0"]
  admin_access: authenticated
  admin_hosts: [admin.example.com]
  origins: ["https://*.example.com:*"]
  token_from: ["cookie:t", auth]
  connections: unlimited
  connect_rate: 60/m
  connections_per_address: 7
  pending: unlimited
  failed_tokens: 90/m
  header_timeout: 5s
  body_timeout: 1m
  watch: false
"""
    compiled = configuration(MINIMAL + server)
    assert compiled.server == ServerSettings(
        listen=(
            TcpAddress("127.0.0.1", 0),
            TcpAddress("", 8000),
            TcpAddress("::1", 9000),
            UnixAddress("/run/c.sock"),
            SystemdAddress("web"),
        ),
        admin=(TcpAddress("127.0.0.1", 0),),
        admin_hosts=("admin.example.com",),
        origins=("https://*.example.com:*",),
        token_from=("cookie:t", "auth"),
        connections=None,
        connect_rate=1.0,
        connections_per_address=7,
        pending=None,
        failed_tokens=1.5,
        header_timeout=5.0,
        body_timeout=60.0,
        watch=False,
    )
    assert compiled.server_spans["path" if "path" in compiled.server_spans else "listen"].line == 4


# --- files ----------------------------------------------------------------------------------------------------

TREE = {
    "conf/c.yaml": b'version: 1\ninclude: ["d/*.yaml", "d/.*", "d/a.*", "no/*"]\n',
    "conf/d/b.yaml": b"namespaces: {/b: {connect: public, publish: public, events: {m: {schema: m.json}}}}\n",
    "conf/d/a.yaml": b"namespaces: {/a: {connect: {rule: r}}}\nrules: {r: public}\n",
    "conf/d/.c.yaml": b"nonsense",
    "conf/d/m.json": b"{}",
}


def test_includes_are_read_once_each_in_byte_order():
    loaded = load("conf/c.yaml", InMemory(TREE))
    assert [problem.code for problem in loaded.problems] == ["include.nothing", "include.nothing"]
    assert loaded.files == ("conf/c.yaml", "conf/d/a.yaml", "conf/d/b.yaml", "conf/d/m.json")
    assert loaded.globs == ("conf/d/*.yaml", "conf/d/.*", "conf/d/a.*", "conf/no/*")
    assert loaded.configuration is not None
    assert [(use.kind, use.path) for use in loaded.configuration.files] == [
        ("include", "conf/d/a.yaml"),
        ("include", "conf/d/b.yaml"),
        ("schema", "conf/d/m.json"),
    ]


def test_a_directory_with_brackets_is_no_pattern(tmp_path):
    place = tmp_path / "a[b]c"
    (place / "d").mkdir(parents=True)
    (place / "c.yaml").write_text('version: 1\ninclude: ["d/*.yaml"]\n')
    (place / "d/x.yaml").write_text("namespaces: {/: {connect: public}}\n")
    loaded = load(str(place / "c.yaml"), Disk())
    assert loaded.problems == ()
    assert loaded.files[1:] == (str(place / "d/x.yaml"),)


def test_files_that_are_missing_are_followed_too():
    text = b"version: 1\nnamespaces: {/: {connect: public, events: {m: {schema: gone.json}}}}\n"
    loaded = load("c.yaml", InMemory({"c.yaml": text}))
    assert loaded.configuration is None
    assert loaded.files == ("c.yaml", "gone.json")


def test_a_main_file_that_cannot_be_read_is_a_problem():
    loaded = load("gone.yaml", InMemory({}))
    assert [str(problem) for problem in loaded.problems] == [
        "gone.yaml:1:1: error: `gone.yaml`: no such file or directory"
    ]
    assert loaded.configuration is None
    assert loaded.issuers == ()


def digest(files: dict[str, bytes], main: str = "conf/c.yaml") -> str:
    return load(main, InMemory(files)).digest


def test_the_digest_is_of_names_and_bytes():
    whole = digest(TREE)
    assert len(whole) == 64
    assert digest(dict(reversed(TREE.items()))) == whole
    for path in ("conf/c.yaml", "conf/d/a.yaml", "conf/d/b.yaml", "conf/d/m.json"):
        assert digest({**TREE, path: TREE[path] + b" "}) != whole, path
    assert digest({**TREE, "conf/d/.c.yaml": b"", "conf/e.yaml": b""}) == whole
    renamed = {path.replace("b.yaml", "c.yaml"): raw for path, raw in TREE.items()}
    assert digest(renamed) != whole


def test_the_digest_does_not_depend_on_where_the_files_are():
    moved = {path.replace("conf/", "/etc/elsewhere/"): raw for path, raw in TREE.items()}
    assert digest(moved, "/etc/elsewhere/c.yaml") == digest(TREE)


def test_the_digest_tells_a_moved_boundary():
    """Bytes that move from the end of one file to the beginning of the next make another digest."""
    one = {
        "c.yaml": b'version: 1\ninclude: ["x*"]\n',
        "x1": b"rules: {a: public}\n#",
        "x2": b"#\nrules: {b: public}\n",
    }
    two = {**one, "x1": b"rules: {a: public}\n", "x2": b"##\nrules: {b: public}\n"}
    assert digest(one, "c.yaml") != digest(two, "c.yaml")


# --- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"secret_env: UNSET", "variable.unset"),
        (b"secret_file: gone", "file.unreadable"),
        (b"jwks_file: gone", "file.unreadable"),
        (b"public_key_file: gone", "file.unreadable"),
    ],
)
def test_keys_that_cannot_be_had_are_a_note_and_for_serving_an_error(source, code):
    assert codes(MINIMAL + ISSUERS % source) == [("note", code)]
    assert codes(MINIMAL + ISSUERS % source, serving=True) == [("error", code)]


def test_the_entries_are_known_although_something_else_is_wrong():
    loaded = load(
        "c.yaml", InMemory({"c.yaml": MINIMAL + ISSUERS % b"secret_env: SECRET" + b"rules: {a: {rule: b}}\n"})
    )
    assert loaded.configuration is None
    assert [entry.name for entry in loaded.issuers] == ["corp"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"server: {admin: ['unix:/run/a.sock']}\nrules: {a: {rule: b}}\n", True),
        (b"server: {admin: ['unix:/run/a.sock']}\nrules: {a: {scop: b}}\n", True),
        (b"sever: {admin: ['unix:/run/a.sock']}\n", False),
        (b"server: {admn: ['unix:/run/a.sock']}\n", False),
        (b"server: {admin: ['unix:a.sock']}\n", False),
        (b"server: {admin: ['unix:/run/a.sock']\n", False),
        (b"server: &a {admin: ['unix:/run/a.sock']}\n", True),
    ],
)
def test_the_server_is_told_although_something_else_is_wrong(text: bytes, told: bool):
    loaded = load("c.yaml", InMemory({"c.yaml": MINIMAL + text}))
    assert loaded.configuration is None
    assert (loaded.server is not None) is told
    if loaded.server is not None:
        assert loaded.server.admin == (UnixAddress("/run/a.sock"),)


# --- one mistake, one problem ---------------------------------------------------------------------------------


ISSUER = "issuers: {a: {issuer: x, audience: y, secret_env: SECRET, use: [api, no]}}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # What a broken part would have declared is not missed.
        (["rules: {a: {scop: x}}", "namespaces: {/: {connect: {rule: a}}}"], ["schema.unknown-key"]),
        ([ISSUER, "namespaces: {/: {connect: public, issuers: [a]}}"], ["api.not-served", "yaml.trap"]),
        ([ISSUER, "namespaces: {/: {connect: authenticated}}"], ["api.not-served", "yaml.trap"]),
        (["issuers: []", "namespaces: {/: {connect: authenticated}}"], ["schema.type"]),
        (["namespaces: {/: {conect: public, rooms: {a: {jion: public}}}}"], ["schema.unknown-key"] * 2),
        # Neither is what a misspelt or repeated section would have declared.
        (["rulez: {a: public}", "namespaces: {/: {connect: {rule: a}}}"], ["schema.unknown-key"]),
        (
            ["rules: {}", "rules: {a: public}", "namespaces: {/: {connect: {rule: a}}}"],
            ["yaml.duplicate-key"],
        ),
        (["issuerz: {}", "namespaces: {/: {connect: authenticated, issuers: [a]}}"], ["schema.unknown-key"]),
        (["namespacez: {/: {connect: public}}"], ["schema.unknown-key"]),
    ],
)
def test_what_follows_from_a_mistake_is_not_told(lines, expected):
    text = "\n".join(["version: 1", *lines, ""])
    assert [code for _, code in codes(text.encode(), SECRET=b"s" * 32)] == expected


FORMS = ["{x: {pattern: 5}}", "{x: {integer: {min: a}}}", "{x: {one_of: [no]}}", '{x: {pattern: "a|b"}}']


@pytest.mark.parametrize(
    "params", ["params: 5", "parms: {x: {one_of: [a]}}", *map("params: {}".format, FORMS)]
)
def test_templates_are_not_compared_while_the_form_of_a_parameter_is_unknown(params):
    text = f"""
version: 1
namespaces:
  /:
    connect: public
    rooms:
      "a:{{x}}": {{join: public, {params}}}
      "a:{{y}}": {{join: public}}
      "b": {{join: {{member_of: "a:0"}}}}
"""
    assert len(codes(text.encode())) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"a:{x}": {join: public, params: 5}', []),
        ('"a:{x}:{x}": {join: public}', []),
        ('"a:{": {join: public}', []),
        ('"other:{x}": {join: public, params: 5}', ["member-of.unknown"]),
    ],
)
def test_a_room_with_a_mistake_of_its_own_may_be_the_one_that_is_meant(line, expected):
    text = f"""
version: 1
namespaces:
  /:
    connect: public
    rooms:
      {line}
      "b": {{join: {{member_of: "a:0"}}}}
"""
    _, *others = (code for _, code in codes(text.encode()))
    assert others == expected


def test_a_mistake_hides_no_other():
    """What is doubtful is only what the mistake itself may have declared."""
    text = """
version: 1
sever: {}
limits: 5
rules: {a: {scop: x}}
issuers:
  a: {issuer: a, audience: a, secret_env: SECRET, leeway: 30}
  b: {issuer: b, audience: b, secret_env: SECRET, use: [api]}
namespaces:
  /:
    connect: {rule: gone}
    issuers: [a, b, c]
    rooms:
      "a:{x}":
        params: {x: {pattern: "("}}
        join: {scope: "{y}"}
        publish: {param: z, equals: 1}
        auto_join: {w: sub}
      "b": {join: {member_of: "c:1"}}
"""
    assert [code for severity, code in codes(text.encode(), SECRET=b"s" * 32) if severity == "error"] == [
        "schema.unknown-key",
        "schema.type",
        "schema.unknown-key",
        "schema.duration",
        "rule.unknown",
        "issuers.use",
        "issuer.unknown",
        "template.pattern",
        "rule.parameter",
        "rule.parameter",
        "parameter.unknown",
        "member-of.unknown",
    ]


def test_an_included_file_that_cannot_be_read_to_its_end_is_the_only_problem():
    files = {
        "c.yaml": b'version: 1\ninclude: ["x.yaml"]\nnamespaces: {/: {connect: {rule: there}}}\n',
        "x.yaml": b"rules: {there: public, [\n",
    }
    assert [problem.code for problem in load("c.yaml", InMemory(files)).problems] == ["yaml.syntax"]
