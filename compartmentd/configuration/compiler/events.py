"""Reads the events that may be published in a namespace or room."""

from __future__ import annotations

from compartmentd.configuration.compiler.payload_schemas import PayloadSchemas
from compartmentd.configuration.compiler.report import Report
from compartmentd.configuration.compiler.rules import RuleReader
from compartmentd.configuration.compiler.scopes_of_use import Place, Places
from compartmentd.configuration.compiler.uncertain import may_contain
from compartmentd.document.node import Node
from compartmentd.policy.model import Event

_REQUESTS = ("join", "leave", "publish", "presence", "history", "refresh")
_NEWS = ("joined", "left", "expiring", "closing", "error", "notice")
# Events of Socket.IO itself; its libraries refuse to emit them.
_SOCKET_IO = ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
RESERVED = frozenset({*_REQUESTS, *_NEWS, *_SOCKET_IO})
_RESERVED_PREFIXES = ("_", "compartment")


class EventReader:
    """Reads `events`, a list of names or a mapping."""

    def __init__(self, rules: RuleReader, places: Places, schemas: PayloadSchemas, report: Report) -> None:
        self.rules = rules
        self.places = places
        self.schemas = schemas
        self.report = report

    def read(self, node: Node | None, place: Place) -> dict[str, Event]:
        """Return the events by name; `place` is the place of a `publish` rule here."""
        if node is None:
            return {}
        if isinstance(node.data, list):
            events = [Event(name=item.data, span=item.span) for item in node.items]
        else:
            events = [self._read_event(name, child, place) for name, child in node.usable()]
        for event in events:
            self._check_name(event)
        return {event.name: event for event in events}

    def warn_if_closed(self, place: Node, namespace: Node) -> None:
        """Warn of events to which nobody may publish; services may, by the `api` of the namespace."""
        events, publish = place.get("events"), place.fields.get("publish")
        if events is None or not events.sound or may_contain(place, "publish", "room"):
            return
        if (publish is None or publish.data == "nobody") and "api" not in namespace.fields:
            names = [f"`{name}`" for name in list(events.data)[:3]]
            message = f"nobody may publish {', '.join(names)} here: `publish` is `nobody`"
            message += ", its default" if publish is None else ""
            help_ = "add who may, for example `publish: members`, or take the events out"
            self.report.warning(events.key_span, "event.unpublishable", message, help_)

    def warn_if_empty(self, room: Node) -> None:
        """Warn of a `publish` that allows nothing, because the room declares no event."""
        publish, events = room.get("publish"), room.get("events")
        if publish is None or publish.data == "nobody" or may_contain(room, "events", "room"):
            return
        if events is None or not events.data:
            message = "nothing can be sent here: `publish` says who may, and no event is declared"
            help_ = "name the events, as in `events: [message]`, or take `publish` out"
            self.report.warning(publish.key_span, "publish.without-events", message, help_)

    def _read_event(self, name: str, node: Node, place: Place) -> Event:
        schema, volatile, publish = node.get("schema"), node.get("volatile"), node.get("publish")
        rule = None if publish is None else self.rules.read(publish)
        if rule is not None:
            self.places.check(rule, place)
        return Event(
            name=name,
            schema=None if schema is None else self.schemas.key(schema),
            volatile=volatile is not None and volatile.data,
            publish=rule,
            span=node.key_span,
        )

    def _check_name(self, event: Event) -> None:
        if "*" in event.name:
            message = f"`*` in `{event.name}` is no wildcard: it is the name of one event"
            self.report.warning(event.span, "event.wildcard", message, "list the names of the events")
        if event.name in RESERVED or event.name.startswith(_RESERVED_PREFIXES):
            help_ = "so are the requests, what the server emits, Socket.IO's own, and `_…` and `compartment…`"
            self.report.error(event.span, "event.reserved", f"event name `{event.name}` is reserved", help_)
