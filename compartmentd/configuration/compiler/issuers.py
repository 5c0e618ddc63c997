"""Reads `issuers`: the accepted token issuers and their key sources."""

from __future__ import annotations

from collections.abc import Mapping

from compartmentd.configuration.compiler.claim_paths import read_claim_path
from compartmentd.configuration.compiler.files_used import FilesUsed
from compartmentd.configuration.compiler.key_sources import KeySources
from compartmentd.configuration.compiler.limits import duration, duration_limit
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.configuration.compiler.vendors import check_tenants, check_vendor
from compartmentd.document.node import MERGE, Node
from compartmentd.names import EntryName
from compartmentd.policy.claim_path import ClaimPath
from compartmentd.tokens.entry import DEFAULT_MAX_AGE, SECRETS, IssuerEntry, KeySource, LogoutSettings, Use
from compartmentd.tokens.presets import NO_PRESET, PRESETS, Preset
from compartmentd.tokens.remote import warn_of_plain_http

_FOR_SECRET = ("HS256",)
_HELP_SHARED = "name the secret under `secret_file` or `secret_env`, beside the public keys"
_HELP_OTHERS = "name public keys, under `jwks_url` for example, beside the secret"
_MOST_LEEWAY = 60.0
_ABSENT = "absent"


class Issuers:
    """Reads `issuers`.

    `names` are the names of all entries. `for_connect` are the entries whose tokens may open sessions, `unclear`
    those for which a mistake leaves that undecided. `complete` says that there are certainly no other entries.
    """

    def __init__(self, root: Node, files: FilesUsed, report: Report, *, serving: bool) -> None:
        self.report = report
        self._sources = KeySources(files, report, serving=serving)
        node = root.fields.get("issuers")
        fields = {} if node is None else node.fields
        holes = () if node is None else node.holes
        self.names = (*fields, *holes)
        self.complete = not (may_contain(root, "issuers") or MERGE in holes)
        uses = {name: _read_uses(child) for name, child in fields.items()}
        self.for_connect = tuple(EntryName(name) for name, use in uses.items() if use and "connect" in use)
        self.unclear = frozenset({*holes, *(name for name, use in uses.items() if use is None)})
        read = (
            self._read_entry(EntryName(name), child) for name, child in fields.items() if not child.broken
        )
        self.entries = tuple(entry for entry in read if entry is not None)
        self._check_distinct(fields)
        self._check_logouts(root)

    def _read_entry(self, name: EntryName, node: Node) -> IssuerEntry | None:
        preset = _read_preset(node)
        issuer, audience, sources = node.get("issuer"), node.get("audience"), self._sources.read(node, preset)
        use = self._read_use(node)
        algorithms = self._read_algorithms(node, sources, preset)
        if sources is not None:  # otherwise a mistake is reported already, and may be the same one
            check_vendor(node, self.report)
        fits = check_tenants(node, preset, self.report)
        leeway = self._read_leeway(node)
        if issuer is None or audience is None or sources is None or not fits:
            return None
        entry = IssuerEntry(
            name=name,
            span=node.key_span,
            issuer=issuer.data,
            audience=_read_one_or_more(audience),
            use=use,
            audience_claim=_read_text(node, "audience_claim", preset.audience_claim),
            sources=sources,
            algorithms=algorithms,
            scopes=_list(node, "scopes", preset.scopes),
            types=self._read_types(node, preset),
            require={**preset.require, **self._require(node)},
            subject=_read_subject(node),
            leeway=leeway,
            max_age=_read_max_age(node),
            allow_http=_read_flag(node, "allow_http"),
            ca_file=self._sources.read_ca_file(node, sources),
            logout=_read_logout(node),
            tenants=_list(node, "tenants", ()),
            keys_name_issuers=preset.tenants,
            never=preset.never,
            always=preset.always,
        )
        warning = warn_of_plain_http(entry)
        if warning is not None:
            self.report.problems.append(warning)
        return entry

    def _check_logouts(self, root: Node) -> None:
        """Warn about each entry whose logouts are kept in memory only."""
        if may_contain(root, "server"):
            return
        server = root.get("server")
        if server is not None and ("state" in server.fields or may_contain(server, "state", "server")):
            return
        for entry in self.entries:
            if entry.logout is not None:
                message = f"a restart forgets the logouts of `{entry.name}`: who logged out is let in again"
                help_ = "name a directory under `server.state`"
                self.report.warning(entry.span, "logout.forgotten", message, help_)

    def _read_algorithms(
        self, node: Node, sources: tuple[KeySource, ...] | None, preset: Preset
    ) -> tuple[str, ...]:
        """Return the allowed algorithms.

        Both kinds may stand together, since a key verifies only algorithms of its own kind (RFC 8725, 2.1: else a
        public key could be passed off as the secret of an HMAC).
        """
        secret = sources is not None and sources[-1].kind in SECRETS
        public = sources is None or sources[0].kind not in SECRETS
        written = node.get("algorithms")
        if written is None:
            return (*(_FOR_SECRET if secret else ()), *(preset.algorithms if public else ()))
        if sources is not None and not self._sources.is_unclear(node):
            self._check_algorithms(written, sources, secret=secret, public=public)
        return _read_texts(written)

    def _check_algorithms(
        self, written: Node, sources: tuple[KeySource, ...], *, secret: bool, public: bool
    ) -> None:
        """Report an algorithm without a kind of key, or else a kind of key without an algorithm."""
        shared = [item for item in written.items if item.data.startswith("HS")]
        others = [item for item in written.items if not item.data.startswith("HS")]
        kinds = " and ".join(f"`{kind}`" for kind in dict.fromkeys(source.kind for source in sources))
        if wrong := (*(() if secret else shared), *(() if public else others)):
            needs = "a shared secret" if wrong[0] in shared else "public keys"
            message = f"`{wrong[0].data}` needs {needs}, and the keys come from {kinds}"
            add = _HELP_SHARED if wrong[0] in shared else _HELP_OTHERS
            self.report.error(wrong[0].span, "issuer.algorithms", message, f"{add}, or remove it here")
        elif not written.sound:
            return  # an item that could not be read may be for the kind that lacks one
        elif secret and not shared:
            message = "no algorithm is for the secret: it verifies HS256, HS384 and HS512"
            self.report.error(written.span, "issuer.algorithms", message, "add `HS256`, or remove the secret")
        elif public and not others:
            message = f"no algorithm is for the public keys of `{sources[0].kind}`"
            help_ = "add one that the issuer signs with, such as `ES256`, or remove that key source"
            self.report.error(written.span, "issuer.algorithms", message, help_)

    def _read_use(self, node: Node) -> tuple[Use, ...]:
        written = node.get("use")
        for item in () if written is None else written.items:
            if item.data == "api":
                message = "`use: api` is checked, and served once the API is built"
                self.report.note(item.span, "api.not-served", message)
        return _read_uses(node) or ()

    def _read_types(self, node: Node, preset: Preset) -> tuple[str | None, ...]:
        written = node.get("types")
        if written is None:
            return preset.types
        return tuple(None if item.data == _ABSENT else item.data for item in written.items)

    def _require(self, node: Node) -> dict[str, str | int | float | bool]:
        written = node.get("require")
        return {} if written is None else {name: child.data for name, child in written.usable()}

    def _read_leeway(self, node: Node) -> float:
        leeway = node.get("leeway")
        if leeway is not None and duration(leeway.data) > _MOST_LEEWAY:
            self.report.error(
                leeway.span,
                "issuer.leeway",
                f"`leeway` is at most 60s, not `{leeway.data}`",
                "let the clocks be set by NTP",
            )
        return _read_seconds(node, "leeway", 30.0)

    def _check_distinct(self, fields: Mapping[str, Node]) -> None:
        seen: dict[str, IssuerEntry] = {}
        for entry in self.entries:
            firsts = [seen.setdefault(issuer, entry) for issuer in entry.issuers]
            first = next((each for each in firsts if each is not entry), None)
            if first is not None:
                where = fields[entry.name].fields["issuer"].span
                message = f"`{entry.name}` and `{first.name}` (line {first.span.line}) have the same issuer"
                self.report.error(
                    where,
                    "issuer.twice",
                    message,
                    "a token's `iss` must pick one entry: join them, with a list as `audience` and `use`, "
                    "and a secret beside the public keys",
                )


def _read_preset(node: Node) -> Preset:
    written = node.get("preset")
    return NO_PRESET if written is None else PRESETS[written.data]


def _read_logout(node: Node) -> LogoutSettings | None:
    written = node.get("logout")
    audience = None if written is None else written.get("audience")
    return None if audience is None else LogoutSettings(_read_one_or_more(audience))


def _read_uses(node: Node) -> tuple[Use, ...] | None:
    """Return the uses of an entry, or `None` if a mistake leaves them undecided."""
    written = node.get("use")
    if written is None:
        return None if may_contain(node, "use", "issuer") else ("connect",)
    return tuple(item.data for item in written.items) if written.sound else None


def _read_subject(node: Node) -> ClaimPath:
    written = node.get("subject")
    return ("sub",) if written is None else read_claim_path(written)


def _read_text(node: Node, key: str, default: str) -> str:
    child = node.get(key)
    return default if child is None else str(child.data)


def _list(node: Node, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
    child = node.get(key)
    return default if child is None else _read_texts(child)


def _read_texts(node: Node) -> tuple[str, ...]:
    return tuple(item.data for item in node.items)


def _read_seconds(node: Node, key: str, default: float) -> float:
    child = node.get(key)
    return default if child is None else duration(child.data)


def _read_max_age(node: Node) -> float | None:
    written = node.get("max_age")
    return DEFAULT_MAX_AGE if written is None else duration_limit(written.data)


def _read_one_or_more(node: Node) -> tuple[str, ...]:
    return (node.data,) if isinstance(node.data, str) else _read_texts(node)


def _read_flag(node: Node, key: str) -> bool:
    child = node.get(key)
    return child is not None and bool(child.data)
