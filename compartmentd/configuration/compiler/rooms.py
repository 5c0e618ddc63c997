"""Reads the rooms of a namespace."""

from __future__ import annotations

from collections.abc import Iterator

from compartmentd.configuration.compiler.claim_paths import read_claim_path
from compartmentd.configuration.compiler.events import EventReader
from compartmentd.configuration.compiler.implausible import doubt_claim
from compartmentd.configuration.compiler.limits import count_limit, merge_room_limits
from compartmentd.configuration.compiler.member_of import Memberships
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.rules import RuleReader
from compartmentd.configuration.compiler.scopes_of_use import Place, Places
from compartmentd.configuration.compiler.templates import ParsedTemplate, TemplateReader
from compartmentd.configuration.compiler.unfilled import find_unfilled
from compartmentd.document.node import Node
from compartmentd.policy.model import AutoJoin, Limits, RoomTemplate


class RoomReader:
    """Reads `rooms`, and checks the templates of a namespace against each other."""

    def __init__(self, rules: RuleReader, places: Places, events: EventReader, report: Report) -> None:
        self.rules = rules
        self.places = places
        self.events = events
        self.report = report
        self.templates = TemplateReader(report)

    def read(self, namespace: Node, limits: Limits) -> tuple[RoomTemplate, ...]:
        """Return the templates of a namespace; `limits` are those of the namespace."""
        node = namespace.get("rooms")
        if node is None:
            return ()
        rooms = list(self._read_rooms(node, limits))
        for child in node.fields.values():
            if not child.broken:
                self.events.warn_if_closed(child, namespace)
                self.events.warn_if_empty(child)
        sound = [room for room, shape in rooms if shape.sound]
        self.templates.compare(sound)
        known = {room.name for room in sound}
        doubtful = [name for name in (*node.fields, *node.holes) if name not in known]
        Memberships(sound, doubtful, self.places.named, self.report).check()
        return tuple(room for room, _ in rooms)

    def _read_rooms(self, node: Node, limits: Limits) -> Iterator[tuple[RoomTemplate, ParsedTemplate]]:
        for name, child in node.usable():
            shape = self.templates.shape(name, child)
            yield self._read_room(name, child, shape, limits), shape

    def _read_room(self, name: str, node: Node, shape: ParsedTemplate, limits: Limits) -> RoomTemplate:
        join, publish = self.rules.read_optional(node, "join"), self.rules.read_optional(node, "publish")
        params = {param.name: param for param in shape.params}
        to_join = Place("join", f"room `{name}`", params, join=True, vague=not shape.sound)
        to_publish = Place("publish", f"room `{name}`", params, publish=True, vague=not shape.sound)
        if shape.named:
            self.places.check(join, to_join)
            self.places.check(publish, to_publish)
            for rule in (join, publish):
                used = any(
                    need.kind == "param" or len(need.text) > 1 for need in self.places.named.needs(rule)
                )
                for span, message, help_ in find_unfilled(rule, params, parameters_used=used):
                    self.report.warning(span, "rule.implausible", message, help_)
        echo, capacity, description = node.get("echo"), node.get("capacity"), node.get("description")
        return RoomTemplate(
            name=name,
            pattern=shape.pattern,
            params=shape.params,
            join=join,
            publish=publish,
            events=self.events.read(node.get("events"), to_publish),
            echo=echo is not None and echo.data,
            auto_join=self._read_auto_join(node.get("auto_join"), shape),
            capacity=None if capacity is None else count_limit(capacity.data),
            limits=merge_room_limits(limits, node.get("limits")),
            description="" if description is None else description.data,
            span=node.key_span,
        )

    def _read_auto_join(self, node: Node | None, shape: ParsedTemplate) -> AutoJoin | None:
        if node is None or node.data is False:
            return None
        if node.data is True:
            if shape.params:
                names = ", ".join(f"{param.name}: CLAIM" for param in shape.params)
                self.report.error(
                    node.span,
                    "auto-join.params",
                    "`true` is for a template without parameters",
                    f"write {{{names}}}",
                )
            return AutoJoin(claims=(), span=node.span)
        for _, child in node.usable():
            if isinstance(child.data, str) and (name := child.data.strip("{}")) != child.data:
                message = (
                    f"`{child.data}` is the claim of that name, braces included, and tokens hardly have it"
                )
                self.report.warning(
                    child.span, "rule.literal-braces", message, f"write the name alone: `{name}`"
                )
            dotted = doubt_claim(child.data) if isinstance(child.data, str) else None
            if dotted is not None:
                self.report.warning(child.span, "claim.dotted", dotted.message, dotted.help)
        claims = tuple((name, read_claim_path(child)) for name, child in node.usable())
        if shape.named:
            self._check_claims(node, [param.name for param in shape.params])
        return AutoJoin(claims=claims, span=node.span)

    def _check_claims(self, node: Node, names: list[str]) -> None:
        for name, child in node.fields.items():
            if name not in names and not child.broken:
                self.report.unknown(child.key_span, "parameter", name, names)
        missing = [f"`{name}`" for name in names if name not in node.fields]
        surplus = [name for name in node.fields if name not in names]
        if missing and not surplus:
            self.report.error(
                node.key_span,
                "auto-join.params",
                f"`auto_join` lacks {', '.join(missing)}",
                "it names the claim of each parameter",
            )
        elif not names and not node.fields:
            self.report.error(
                node.span, "auto-join.params", "`auto_join` names no claim", "write `auto_join: true`"
            )
