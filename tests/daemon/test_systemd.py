"""The datagrams that a service manager receives, on real sockets, by path and abstract."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compartmentd.daemon.systemd import Notifier
from compartmentd.daemon.watchdog import Heartbeat, find_fault, is_refusing_undeclared
from tests.support.manager import Manager
from tests.support.policies import NOW, ruleset

PID = 4711


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    yield made
    made.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    made = Notifier.from_environment(manager.environ(WATCHDOG_USEC="3000000", WATCHDOG_PID=str(PID)), PID)
    yield made
    made.close()


def test_a_whole_life(manager: Manager, notifier: Notifier) -> None:
    notifier.report_ready("generation 1")
    assert manager.received() == [{"READY": "1", "STATUS": "generation 1"}]
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.begin_reload()
    [begun] = manager.received()
    assert begun.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert before <= int(begun["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.end_reload("generation 2")
    assert manager.received() == [{"READY": "1", "STATUS": "generation 2"}]
    notifier.report_alive()
    assert manager.received() == [{"WATCHDOG": "1"}]
    notifier.report_stopping("stopping", 12.5)
    assert manager.received() == [
        {"STOPPING": "1", "STATUS": "stopping", "EXTEND_TIMEOUT_USEC": "12500000"},
    ]
    notifier.extend(1)
    assert manager.received() == [{"EXTEND_TIMEOUT_USEC": "1000000"}]


def test_a_socket_in_a_directory_is_found_as_well(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # bound by a short name: such a path has room for 107 bytes
    receiving = Manager("notify")
    link = Path("/tmp") / f"n-{secrets.token_hex(4)}"
    link.symlink_to(tmp_path)
    try:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": f"{link}/notify"}, PID)
        notifier.report_ready("here")
        assert receiving.received() == [{"READY": "1", "STATUS": "here"}]
    finally:
        link.unlink()
        notifier.close()
        receiving.close()


def test_a_reload_before_the_daemon_is_ready_does_not_make_it_ready(
    manager: Manager, notifier: Notifier
) -> None:
    notifier.begin_reload()
    notifier.end_reload("early")
    assert manager.received() == []


def test_a_daemon_that_becomes_ready_in_a_reload_says_so_once(manager: Manager, notifier: Notifier) -> None:
    notifier.begin_reload()
    notifier.report_ready("fine")
    notifier.end_reload("late")
    assert manager.received() == [{"READY": "1", "STATUS": "fine"}]


def test_a_reload_does_not_make_a_stopping_daemon_ready(manager: Manager, notifier: Notifier) -> None:
    notifier.report_ready("fine")
    notifier.begin_reload()
    notifier.report_stopping("stopping", 1)
    notifier.end_reload("late")
    notifier.begin_reload()
    notifier.end_reload("later")
    assert [("READY" in datagram) for datagram in manager.received()] == [True, False, False]


def test_a_status_is_told_once_and_on_one_line(manager: Manager, notifier: Notifier) -> None:
    notifier.report_ready("one")
    notifier.tell("one")
    notifier.tell("two\nMAINPID=1")
    notifier.tell("two MAINPID=1")
    notifier.tell("x" * 5000)
    said = manager.received()
    assert said[:2] == [{"READY": "1", "STATUS": "one"}, {"STATUS": "two MAINPID=1"}]
    assert len(said) == 3
    assert len(said[2]["STATUS"]) == 1000


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID + 1)}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_the_one_meant_for_this_process(
    manager: Manager, variables: dict[str, str], expected: float | None
) -> None:
    notifier = Notifier.from_environment(manager.environ(**variables), PID)
    assert notifier.watchdog == expected
    notifier.report_alive()
    assert bool(manager.received()) is (expected is not None)
    notifier.close()


def test_no_child_inherits_what_was_meant_for_us(manager: Manager) -> None:
    environ = manager.environ(WATCHDOG_USEC="1", WATCHDOG_PID="1", HOME="/")
    Notifier.from_environment(environ, PID).close()
    assert environ == {"HOME": "/"}


def test_without_a_manager_nothing_is_said() -> None:
    notifier = Notifier.from_environment({}, os.getpid())
    notifier.report_ready("alone")
    notifier.begin_reload()
    notifier.report_alive()
    notifier.end_reload("alone")
    notifier.report_stopping("alone", 1)


@pytest.mark.parametrize("address", ["vsock:2:1234", "notify", "/nowhere/notify"])
def test_a_manager_that_cannot_be_reached_is_logged_and_harms_nothing(address: str, caplog) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address}, PID)
    notifier.report_ready("to nobody")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_manager_that_went_away_is_logged_once(manager: Manager, notifier: Notifier, caplog) -> None:
    manager.close()
    notifier.report_ready("to nobody")
    notifier.report_alive()
    assert len(caplog.records) == 1


def test_a_full_queue_does_not_hold_up_what_is_repeated_anyhow(
    manager: Manager, notifier: Notifier, caplog
) -> None:
    started = time.monotonic()
    for _ in range(100_000):
        notifier.report_alive()
        if caplog.records:
            break
    assert caplog.records, "the queue never filled"
    assert time.monotonic() - started < 5
    assert manager.received()
    notifier.report_alive()
    assert manager.received() == [{"WATCHDOG": "1"}]


# --- the heartbeat ------------------------------------------------------------------------------------------


def test_a_beat_says_alive_and_shows_the_status(manager: Manager, notifier: Notifier) -> None:
    Heartbeat(notifier, lambda: "3 sessions", lambda: None).beat()
    assert manager.received() == [{"WATCHDOG": "1"}, {"STATUS": "3 sessions"}]


def test_a_failed_self_check_keeps_silent_and_says_why_in_the_log(
    manager: Manager, notifier: Notifier, caplog
) -> None:
    Heartbeat(notifier, lambda: "3 sessions", lambda: "it hurts").beat()
    assert manager.received() == [{"STATUS": "3 sessions"}]
    assert "it hurts" in caplog.text


@pytest.mark.parametrize(("watchdog", "pause"), [(None, 10.0), (3.0, 1.0), (30.0, 10.0), (600.0, 10.0)])
def test_three_beats_fit_into_the_watchdogs_time(watchdog: float | None, pause: float) -> None:
    assert Heartbeat(Notifier(None, watchdog), str, lambda: None).pause == pause


def test_the_canary_is_a_decision_and_not_a_failure_to_decide() -> None:
    assert is_refusing_undeclared(ruleset(connect="public"), NOW)
    assert not is_refusing_undeclared(None, NOW), (
        "deciding fails, which also refuses, and yet all is not well"
    )


@pytest.mark.parametrize(
    ("since_tick", "rules", "expected"),
    [
        (0.1, ruleset(connect="public"), None),
        (5.0, ruleset(connect="public"), None),
        (5.1, ruleset(connect="public"), "time stands still"),
        (0.1, None, "do not refuse"),
    ],
)
def test_the_self_check_finds_what_is_wrong(since_tick: float, rules: Any, expected: str | None) -> None:
    found = find_fault(since_tick, rules, NOW)
    assert found is None if expected is None else expected in (found or "")
