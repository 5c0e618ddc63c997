"""Ten mistakes planted in the reference configuration are ten located problems in one run."""

from __future__ import annotations

from pathlib import Path

from compartmentd.configuration.compiler import load
from tests.support.cases import InMemory

CONFIG = Path(__file__).parents[3] / "config"

PLANTED = (
    ("  transports: [websocket, polling]", "  transports: [websocket, pooling]", "11:27 schema.value"),
    ("    leeway: 30s", "    leeway: 30", "24:13 schema.duration"),
    ("    algorithms: [HS256]", "    algorithms: [RS256]", "30:18 issuer.algorithms"),
    ("  join_rate: 20/s", "  joinrate: 20/s", "39:3 schema.unknown-key"),
    ("    connect: public", "    connect: no", "46:14 yaml.trap"),
    ("        publish: {scope: chat:write}", "        publish: {scop: chat:write}", "60:19 schema.unknown-key"),
    ("            - {rule: staff}", "            - {rule: staf}", "80:22 rule.unknown"),
    ("        auto_join: {project: projects}", "        auto_join: {projekt: projects}", "85:21 parameter.unknown"),
    ("          message: {schema: events/message.schema.json}", "          message: {schema: events/gone.json}",
     "88:29 file.unreadable"),
    ('        join: {member_of: "case:{tenant}:{case}"}', '        join: {member_of: "case:{tenant}:{cas}"}',
     "106:27 rule.parameter"),
)  # fmt: skip


def test_ten_mistakes_are_ten_problems():
    text = (CONFIG / "compartments.yaml").read_text(encoding="utf-8")
    for right, wrong, _ in PLANTED:
        assert right in text
        text = text.replace(right, wrong, 1)
    files = {
        "compartments.yaml": text.encode(),
        "keys/corp.jwks.json": b"{}",
        "events/message.schema.json": b"{}",
    }
    loaded = load("compartments.yaml", InMemory(files, {"COMPARTMENTD_BACKEND_SECRET": b"s" * 32}))
    told = [
        f"{problem.span.line}:{problem.span.column} {problem.code}"
        for problem in loaded.problems
        if problem.severity == "error"
    ]
    assert told == [place for _, _, place in PLANTED]
    assert all(problem.message and problem.help for problem in loaded.problems if problem.severity == "error")
