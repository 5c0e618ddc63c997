"""Reads `namespaces`, and which issuers' tokens each accepts."""

from __future__ import annotations

from collections.abc import Mapping

from compartmentd.configuration.compiler.events import EventReader
from compartmentd.configuration.compiler.issuers import Issuers
from compartmentd.configuration.compiler.limits import merge_limits
from compartmentd.configuration.compiler.plausible import holds_without_token
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.rooms import RoomReader
from compartmentd.configuration.compiler.rules import RuleReader
from compartmentd.configuration.compiler.scopes_of_use import Place, Places
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document.node import Node
from compartmentd.names import EntryName, NamespaceName
from compartmentd.policy.model import ApiRules, Limits, Namespace, Nobody, Rule
from compartmentd.problems import has_errors


class NamespaceReader:
    """Reads `namespaces`."""

    def __init__(
        self, rules: RuleReader, places: Places, events: EventReader, issuers: Issuers, report: Report
    ) -> None:
        self.rules = rules
        self.places = places
        self.events = events
        self.issuers = issuers
        self.report = report
        self.rooms = RoomReader(rules, places, events, report)

    def read(self, nodes: Mapping[str, Node], limits: Limits) -> dict[NamespaceName, Namespace]:
        """Return the namespaces by name; `limits` are those of the top level."""
        return {
            NamespaceName(name): self._read_namespace(name, node, limits)
            for name, node in nodes.items()
            if not node.broken
        }

    def _read_namespace(self, name: str, node: Node, outer: Limits) -> Namespace:
        limits = merge_limits(outer, node.get("limits"))
        connect = self._read_checked_rule(node, "connect", Place("connect", f"namespace `{name}`"))
        to_publish = Place("publish", f"namespace `{name}`")
        description = node.get("description")
        self.events.warn_if_closed(node, node)
        self._warn_of_slashes(name, node)
        return Namespace(
            name=NamespaceName(name),
            issuers=self._read_entries(name, node, connect),
            connect=connect,
            publish=self._read_checked_rule(node, "publish", to_publish),
            events=self.events.read(node.get("events"), to_publish),
            api=self._read_api(name, node),
            limits=limits,
            rooms=self.rooms.read(node, limits),
            description="" if description is None else description.data,
            span=node.key_span,
        )

    def _warn_of_slashes(self, name: str, node: Node) -> None:
        meant = "/" + "/".join(filter(None, name.split("/")))
        if meant != name:
            message = f"`{name}` is another namespace than `{meant}`, and clients mostly connect to that"
            self.report.warning(node.key_span, "namespace.slash", message, f"write `{meant}`")

    def _read_checked_rule(self, node: Node, key: str, place: Place) -> Rule:
        rule = self.rules.read_optional(node, key)
        self.places.check(rule, place)
        return rule

    def _read_api(self, name: str, node: Node) -> ApiRules:
        api = node.get("api")
        if api is None:
            nobody = Nobody(span=node.key_span)
            return ApiRules(read=nobody, publish=nobody, manage=nobody)
        self.report.note(api.key_span, "api.not-served", "`api` is checked, and served once the API is built")
        place = Place("api", f"namespace `{name}`")
        return ApiRules(
            read=self._read_checked_rule(api, "read", place),
            publish=self._read_checked_rule(api, "publish", place),
            manage=self._read_checked_rule(api, "manage", place),
        )

    # --- whose tokens ---------------------------------------------------------------------------------------

    def _read_entries(self, name: str, node: Node, connect: Rule) -> tuple[EntryName, ...]:
        written = node.get("issuers")
        if written is not None:
            return self._read_written_entries(written)
        entries = self.issuers.for_connect
        if len(entries) > 1 and not may_contain(node, "issuers", "namespace"):
            several = ", ".join(f"`{each}`" for each in entries)
            message = f"`{name}` does not say whose tokens may connect, and several entries could: {several}"
            help_ = "write `issuers: [...]` in the namespace"
            self.report.error(node.key_span, "issuers.missing", message, help_)
        if not entries:
            self._warn_if_closed(name, node, connect)
        return tuple(entries[:1])

    def _read_written_entries(self, node: Node) -> tuple[EntryName, ...]:
        for item in node.items:
            if item.data not in self.issuers.names:
                if self.issuers.complete:
                    self.report.unknown(item.span, "issuer", item.data, self.issuers.names)
            elif item.data not in self.issuers.for_connect and item.data not in self.issuers.unclear:
                message = f"tokens of `{item.data}` may not connect"
                help_ = f"add `connect` to `use` of `{item.data}`, or take another entry"
                self.report.error(item.span, "issuers.use", message, help_)
        return tuple(EntryName(item.data) for item in node.items)

    def _warn_if_closed(self, name: str, node: Node, connect: Rule) -> None:
        # A rule that could not be read is `nobody`, so after an error this proves nothing.
        if has_errors(self.report.problems) or isinstance(connect, Nobody):
            return
        if not holds_without_token(connect, self.places.named.rules):
            message = (
                f"nobody can connect to `{name}`: its rule needs a token, and no issuer's tokens may connect"
            )
            help_ = "declare an issuer, or let `connect` be `public`"
            self.report.warning(node.key_span, "namespace.closed", message, help_)
