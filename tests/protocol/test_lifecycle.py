"""The tables of states as a whole: their entries, and the states that can be reached."""

from __future__ import annotations

from compartmentd.protocol.lifecycle import PHASES, STATES, Move, Phase, State, Step


def test_every_phase_can_end_but_the_last():
    assert {phase for phase, move in PHASES if move is Move.END} == set(Phase) - {Phase.CLOSED}
    assert not [phase for phase, _ in PHASES if phase is Phase.CLOSED]


def test_a_websocket_never_becomes_a_poll_again():
    assert {PHASES[key] for key in PHASES if key[0] is Phase.WEBSOCKET} == {Phase.CLOSED}


def test_events_reach_a_session_only_where_it_is_connected():
    takes_events = {state for state, step in STATES if step is Step.EVENT}
    assert takes_events == {State.CONNECTED, State.ENDED}
    assert STATES[State.ENDED, Step.EVENT] is State.ENDED


def test_only_the_application_connects():
    into = {step for (before, step), after in STATES.items() if after is State.CONNECTED is not before}
    assert into == {Step.ACCEPT}


def test_every_state_is_reached():
    assert set(STATES.values()) == set(State)
    assert set(PHASES.values()) == set(Phase)
