"""Loads a configuration: reads, checks and compiles it, or returns every problem."""

from __future__ import annotations

from typing import Any

import msgspec

from compartmentd.configuration.compiler.claim_paths import read_claim_path
from compartmentd.configuration.compiler.contents import Contents
from compartmentd.configuration.compiler.events import EventReader
from compartmentd.configuration.compiler.file_access import FileAccess
from compartmentd.configuration.compiler.files_used import FilesUsed
from compartmentd.configuration.compiler.issuers import Issuers
from compartmentd.configuration.compiler.limits import merge_limits, read_connection_limits
from compartmentd.configuration.compiler.namespaces import NamespaceReader
from compartmentd.configuration.compiler.payload_schemas import PayloadSchemas
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.requirements import NamedRules
from compartmentd.configuration.compiler.rule_issuers import RuleIssuers
from compartmentd.configuration.compiler.rules import DeclaredNames, RuleReader
from compartmentd.configuration.compiler.scopes_of_use import Place, Places
from compartmentd.configuration.compiler.sections import Sections
from compartmentd.configuration.compiler.server import ServerReader
from compartmentd.configuration.settings import Configuration, LogSettings, ServerSettings
from compartmentd.document.node import Node
from compartmentd.names import Digest
from compartmentd.policy.fingerprint import add_fingerprints
from compartmentd.policy.model import Limits, Nobody, Policy, Rule
from compartmentd.policy.named_claims import collect_claim_names
from compartmentd.problems import Problem, has_errors, sort_problems, span_of_file
from compartmentd.tokens.entry import IssuerEntry


class Loaded(msgspec.Struct, frozen=True):
    """The result of loading; `configuration` is `None` if any problem is an error.

    `files` are those of the digest, with those that could not be read; `globs` the patterns of `include`, as
    paths. `issuers` are the entries that could be compiled, and `server` its section where no mistake can hide
    a part of it, also where there is no configuration. `contents` is what was read, also where it has errors.
    """

    configuration: Configuration | None
    problems: tuple[Problem, ...]
    digest: Digest
    files: tuple[str, ...]
    globs: tuple[str, ...] = ()
    issuers: tuple[IssuerEntry, ...] = ()
    contents: Contents = ()
    server: ServerSettings | None = None


def load(path: str, files: FileAccess, *, serving: bool = False, development: bool = False) -> Loaded:
    """Read, check and compile a configuration.

    Args:
        path: the main file; problems name it as it is given here.
        files: where files, globs and variables are looked up.
        serving: whether keys are needed now, so that those that cannot be had are errors, and whether places get
            fingerprints, by which a reload finds what has not changed, and the policy the names of its claims.
        development: whether secrets that are missing are made after this, so that missing keys are notes still.

    Key files are only opened here; `compartmentd.tokens` reads their contents.
    """
    report, used = Report(), FilesUsed(path, files)
    sections = Sections(path, used, report)
    configuration = None
    if sections.root is not None and not sections.root.broken:
        configuration = _compile(sections, sections.root, used, report, serving=serving and not development)
        if serving and not has_errors(report.problems):
            policy = add_fingerprints(configuration.policy)
            policy = msgspec.structs.replace(policy, claims=collect_claim_names(policy))
            configuration = msgspec.structs.replace(configuration, policy=policy)
    problems = sort_problems(report.problems, used.names)
    return Loaded(
        configuration=None if has_errors(problems) else configuration,
        problems=problems,
        digest=used.digest(),
        files=used.names,
        globs=sections.globs,
        issuers=() if configuration is None else configuration.issuers,
        contents=used.contents,
        server=None if configuration is None or _may_hide_server(sections.root) else configuration.server,
    )


def _may_hide_server(root: Node | None) -> bool:
    # An unknown key may be a misspelt `server`; a mistake deeper in another section is not.
    if root is None or root.broken or root.has_refused("server"):
        return True
    return any(child.broken or (key == "server" and not child.sound) for key, child in root.fields.items())


def _compile(
    sections: Sections, root: Node, files: FilesUsed, report: Report, *, serving: bool
) -> Configuration:
    issuers = Issuers(root, files, report, serving=serving)
    reader = RuleReader(
        report,
        DeclaredNames(sections.rule_names, sections.complete),
        DeclaredNames(issuers.names, issuers.complete),
    )
    rules = {name: reader.read(node) for name, node in sections.rules.items()}
    places = Places(NamedRules(rules, report, reader.places), report)
    schemas = PayloadSchemas(files, report)
    events = EventReader(reader, places, schemas, report)
    server, spans = ServerReader(files, report, serving=serving).read(root.get("server"))
    namespaces = NamespaceReader(reader, places, events, issuers, report).read(
        sections.namespaces,
        merge_limits(Limits(), root.get("limits")),
    )
    if not has_errors(report.problems):  # then named rules lead nowhere in a circle, and are not too deep
        RuleIssuers(rules, issuers.entries, report).check(namespaces.values())
    if not sections.namespaces and not has_errors(report.problems):
        report.warning(
            span_of_file(root.file), "namespaces.none", "no namespace is declared, so nobody can connect"
        )
    policy = Policy(
        rules=rules,
        namespaces=namespaces,
        schemas=schemas.schemas,
        admin_access=_read_admin_access(root, reader, places),
        **read_connection_limits(root.get("limits")),
    )
    return Configuration(
        server=server,
        log=_log_settings(root.get("log")),
        issuers=issuers.entries,
        policy=policy,
        files=tuple(files.uses),
        server_spans=spans,
    )


def _log_settings(node: Node | None) -> LogSettings:
    if node is None:
        return LogSettings()
    values: dict[str, Any] = {key: child.data for key, child in node.usable() if key == "decisions"}
    claims = node.get("claims")
    if claims is not None:
        values["claims"] = tuple(read_claim_path(item) for item in claims.items)
    return LogSettings(**values)


def _read_admin_access(root: Node, reader: RuleReader, places: Places) -> Rule:
    server = root.get("server")
    if server is None:
        return Nobody(span=root.span)
    rule = reader.read_optional(server, "admin_access")
    places.check(rule, Place("admin_access", "`server`"))
    return rule
