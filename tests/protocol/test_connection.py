"""A connection without sockets, loop or clock: packets and times in, packets and calls out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.protocol.application import Handshake
from compartmentd.protocol.lifecycle import Phase
from compartmentd.protocol.multiplex import SocketConnection
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.socketio import build_event
from compartmentd.protocol.websocket import BINARY, TEXT
from tests.support.fakes import FakeHost, FakeLink
from tests.support.recorder import Recorder

OPTIONS = ConnectionOptions(ping_interval=25, ping_timeout=20, connect_timeout=10)


class Fixture:
    """A Socket.IO connection with everything around it faked."""

    def __init__(self, options: ConnectionOptions = OPTIONS) -> None:
        self.host, self.link, self.app = FakeHost(), FakeLink(), Recorder()
        self.connection = SocketConnection(self.host, "secret", Handshake("", {}, {}), options, self.app)
        self.connection.link = self.link
        self.connection.phase = Phase.WEBSOCKET
        self.connection.start_heartbeat()

    def receive(self, *packets: str | bytes) -> None:
        self.connection.receive([(TEXT, p.encode()) if isinstance(p, str) else (BINARY, p) for p in packets])

    def sent(self) -> list[str]:
        """Return what was queued since the last call."""
        sent = [message.payload.decode() for message in self.connection.out]
        self.connection.out.clear()
        return sent


def connected() -> Fixture:
    fixture = Fixture()
    fixture.receive("40")
    fixture.sent()
    return fixture


def test_a_flush_is_asked_for_once_for_everything_queued():
    fixture = connected()
    fixture.link.calls.clear()
    for _ in range(5):
        fixture.connection.send(build_event("/", "x"))
    assert fixture.link.calls == ["wake"]
    assert len(fixture.sent()) == 5


def test_pings_and_pongs():
    fixture = connected()
    fixture.host.advance(fixture.connection, 24.9)
    assert fixture.sent() == []
    fixture.host.advance(fixture.connection, 0.2)
    assert fixture.sent() == ["2"]
    fixture.receive("3")
    fixture.host.advance(fixture.connection, 24.9)
    assert fixture.sent() == []
    fixture.host.advance(fixture.connection, 0.2)
    assert fixture.sent() == ["2"]
    fixture.host.advance(fixture.connection, 19.8)
    assert fixture.connection.phase is Phase.WEBSOCKET
    fixture.host.advance(fixture.connection, 0.2)
    assert fixture.connection.phase is Phase.CLOSED
    assert fixture.link.calls[-1] == "abort"
    assert fixture.app.named("closed") == [("closed", ["/"], "ping timeout")]
    assert fixture.host.counters.ping_timeouts == 1


def test_a_short_interval_with_a_long_timeout_is_kept():
    fixture = Fixture(ConnectionOptions(ping_interval=1, ping_timeout=20, connect_timeout=1000))
    for _ in range(5):
        fixture.host.advance(fixture.connection, 1)
        assert fixture.sent() == ["2"]
        fixture.receive("3")


def test_pongs_that_no_ping_asked_for_change_nothing():
    fixture = connected()
    fixture.host.advance(fixture.connection, 20)
    due = fixture.connection.due
    fixture.receive(*["3"] * 1000)
    assert fixture.connection.due == due
    fixture.host.advance(fixture.connection, 5.01)
    assert fixture.sent() == ["2"]


def test_a_timer_that_is_a_little_late_does_not_add_up():
    fixture = connected()
    assert fixture.connection.tick(1000 + 25 + 0.05) == pytest.approx(1000 + 25 + 20)
    assert fixture.sent() == ["2"]


def test_a_loop_that_stood_still_is_no_fault_of_the_client():
    fixture = connected()
    fixture.host.time += 100
    again = fixture.connection.tick(fixture.host.time)
    assert fixture.sent() == ["2"]
    assert again is not None
    assert again > fixture.host.time + 19


def test_packets_behind_a_close_are_dropped():
    fixture = connected()
    fixture.receive("1", '42["x"]')
    assert fixture.app.named("event") == []
    assert fixture.app.named("closed") == [("closed", ["/"], "transport close")]
    assert fixture.link.calls[-1] == "farewell"
    fixture.receive('42["y"]')
    assert fixture.app.named("event") == []


@pytest.mark.parametrize(
    ("packet", "reason", "code"),
    [
        ("2", "transport error", 1002),
        ("7", "parse error", 1002),
        ("", "parse error", 1002),
        ("42{}", "parse error", 1002),
    ],
)
def test_what_a_client_may_not_send(packet: str, reason: str, code: int):
    fixture = connected()
    fixture.receive(packet)
    assert fixture.link.calls[-1] == ("fail", code)
    assert fixture.app.named("closed") == [("closed", ["/"], reason)]


def test_the_end_is_told_once_whatever_comes_after():
    fixture = connected()
    fixture.connection.close("one")
    fixture.connection.close("two")
    fixture.connection.note_lost("three")
    fixture.host.advance(fixture.connection, 1000)
    assert fixture.app.named("closed") == [("closed", ["/"], "one")]
    assert fixture.link.calls.count("finish") == 1


def test_only_the_link_of_now_releases_the_connection():
    fixture = connected()
    fixture.connection.note_released(FakeLink())
    assert fixture.host.forgotten == 0
    fixture.connection.note_released(fixture.link)
    fixture.connection.note_released(fixture.link)
    assert fixture.host.forgotten == 1
    assert not fixture.connection.is_writable
    fixture.connection.hold()
    fixture.connection.close("x")


def test_a_handshake_does_not_show_what_it_holds():
    handshake = Handshake("10.0.0.1", {"authorization": ("Bearer secret",)}, {"token": ("secret",)})
    assert repr(handshake) == "Handshake(address='10.0.0.1')"


def test_an_application_that_fails_to_take_note_of_the_end_ends_nothing_else():
    fixture = connected()
    fixture.app.handle_close = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
    fixture.connection.close("x")
    assert fixture.link.calls[-1] == "finish"
    assert fixture.host.counters.errors == 1


def test_hold_and_resume_within_one_event():
    fixture = connected()

    def both(peer: Any, _: str, __: list[Any]) -> None:
        peer.hold()
        peer.resume()

    fixture.app.on_event = both
    fixture.receive('42["a"]', '42["b"]')
    fixture.receive('42["c"]')
    assert [call[3] for call in fixture.app.named("event")] == [["a"], ["b"], ["c"]]


def test_a_pong_is_not_missed_while_nothing_is_read():
    fixture = connected()
    fixture.host.advance(fixture.connection, 25)
    fixture.connection.hold()
    fixture.receive("3")
    fixture.host.advance(fixture.connection, 30)
    assert fixture.connection.phase is Phase.WEBSOCKET
    fixture.connection.resume()
    fixture.host.advance(fixture.connection, 24)
    assert fixture.connection.phase is Phase.WEBSOCKET


def test_what_was_kept_is_gone_with_the_connection():
    fixture = connected()
    fixture.connection.hold()
    fixture.receive('42["a"]')
    fixture.connection.note_lost("transport close")
    fixture.connection.resume()
    assert fixture.app.named("event") == []


def test_a_violation_behind_a_hold_waits_for_its_turn():
    fixture = connected()
    fixture.app.on_event = lambda peer, _, __: peer.hold()
    fixture.receive('42["a"]', "42{}")
    assert fixture.connection.phase is Phase.WEBSOCKET
    fixture.connection.resume()
    assert fixture.app.named("closed") == [("closed", ["/"], "parse error")]


def test_a_session_stops_the_clock_of_a_connection_without_one():
    fixture = Fixture()
    fixture.host.advance(fixture.connection, 9)
    fixture.receive("40")
    fixture.host.advance(fixture.connection, 10)
    fixture.receive("41")
    fixture.host.advance(fixture.connection, 5)
    fixture.receive("40/a")
    fixture.host.advance(fixture.connection, 1)
    assert fixture.connection.phase is Phase.WEBSOCKET
    fixture.connection.end("/a")
    fixture.receive("3")
    fixture.host.advance(fixture.connection, 9.9)
    assert fixture.connection.phase is Phase.WEBSOCKET
    fixture.host.advance(fixture.connection, 0.2)
    assert fixture.connection.phase is Phase.CLOSED
    assert fixture.host.counters.connect_timeouts == 1


def test_a_connect_that_is_not_answered_is_no_session():
    fixture = Fixture()
    fixture.app.accepting = False
    fixture.receive("40")
    fixture.host.advance(fixture.connection, 10.1)
    assert fixture.connection.phase is Phase.CLOSED


def test_namespaces_that_the_server_ended_count_and_refused_ones_do_not():
    fixture = Fixture(ConnectionOptions(namespaces=2))
    fixture.receive(*["40/no,"] * 10)
    assert len(fixture.sent()) == 10
    fixture.receive("40", "40/a")
    fixture.connection.end("/a")
    counted = [fixture.connection.count_namespaces(besides) for besides in ("/", "/a", "/b")]
    assert counted == [1, 1, 2]
    fixture.receive("40/b")
    assert fixture.app.named("closed") == [("closed", ["/"], "parse error")]


def test_answers_that_come_too_late_have_no_effect():
    fixture = connected()
    peer = fixture.connection
    peer.accept("/", "again", object())
    peer.refuse("/", "no")
    peer.accept("/never", "x", object())
    peer.end("/never")
    assert fixture.sent() == []
    peer.end("/")
    peer.end("/")
    assert fixture.sent() == ["41"]
    peer.close("x")
    peer.end("/")
    peer.send(build_event("/", "x"))
    assert fixture.sent() == []


packets = st.one_of(
    st.sampled_from(
        ["40", "40/a,", "40/no,", "41", "41/a,", '42["x"]', '42/a,1["x"]', "431[]", "3", "6",
         '451-["x",{"_placeholder":true,"num":0}]',
         b"bytes", "bAQID", "1", "2", "42{}", "49", ""],
    ),
    st.text(max_size=20),
    st.binary(max_size=5),
)  # fmt: skip
steps = st.one_of(
    packets,
    st.sampled_from(["hold", "resume", "end", "end /a", "wait", "send", "close"]).map(lambda name: (name,)),
)


@given(st.lists(steps, max_size=25))
@settings(max_examples=300)
def test_whatever_happens_the_application_sees_a_consistent_story(script: list[Any]):
    """No event without a session, no session twice, one end with exactly the sessions that are left."""
    fixture = Fixture()
    for step in script:
        if not isinstance(step, tuple):
            fixture.receive(step)
        elif step[0] == "wait":
            fixture.host.advance(fixture.connection, 8)
        elif step[0].startswith("end"):
            fixture.connection.end(step[0][4:] or "/")
        elif step[0] == "send":
            fixture.connection.send(build_event("/", "x"))
        elif step[0] == "close":
            fixture.connection.close("forced close")
        else:
            getattr(fixture.connection, step[0])()
        connection = fixture.connection
        assert connection._sessions.keys().isdisjoint(connection._others)
        assert {state.name for state in connection._others.values()} <= {"CONNECTING", "ENDED"}
    fixture.connection.note_lost("transport close")
    assert fixture.host.counters.errors == 0
    assert len(fixture.app.named("closed")) == 1
    assert fixture.app.calls[-1][0] == "closed"


USELESS = {
    "pongs": ["3"],
    "noops": ["6", "5", "0"],
    "acks": ["430[]"],
    "events of a namespace that was ended": ['42["x"]'],
}


@pytest.mark.parametrize("packets", USELESS.values(), ids=USELESS)
def test_a_flood_of_packets_without_use_is_ended_after_ten_seconds(packets: list[str]):
    fixture = connected()
    if packets == ['42["x"]']:
        fixture.connection.end("/")
        fixture.receive("40/other,")
    for _ in range(110):
        assert fixture.connection.phase is Phase.WEBSOCKET
        fixture.receive(*packets * (600 // len(packets)))
        fixture.host.advance(fixture.connection, 0.1)
        if fixture.host.counters.excess:
            break
    assert fixture.connection.phase is Phase.CLOSED
    assert ("fail", 1008) in fixture.link.calls


def test_a_burst_of_packets_without_use_ends_nothing():
    fixture = connected()
    fixture.receive(*["3"] * 100_000)
    fixture.host.advance(fixture.connection, 5)
    fixture.receive(*["3"] * 1000)
    assert fixture.connection.phase is Phase.WEBSOCKET


def test_frames_that_are_no_messages_are_charged_alike():
    fixture = connected()
    for _ in range(110):
        fixture.connection.charge_frames(1000)
        fixture.host.advance(fixture.connection, 0.1)
    assert fixture.connection.phase is Phase.CLOSED
