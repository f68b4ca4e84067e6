"""The arithmetic of the circuit breaker."""

from __future__ import annotations

import pickle

import pytest

from smsc_async.fetch.circuit import Circuit


def _fail(circuit: Circuit, now: float, *logins: str) -> None:
    for login in logins:
        circuit.start("failing", login, now)
        circuit.settle("failing", now, responds=False)


def _open(now: float = 0.0) -> Circuit:
    circuit = Circuit()
    _fail(circuit, now, "a", "b", "a", "b", "a")
    assert circuit.is_open
    return circuit


@pytest.mark.parametrize(
    ("logins", "is_open"),
    [
        ("abab", False),
        ("ababa", True),
        ("aaaab", True),
        ("aaaaa", True),
        ("aaaa", False),
        ("abcde", True),
    ],
)
def test_five_failures_in_a_row_open_the_circuit(logins: str, is_open: bool) -> None:
    circuit = Circuit()
    _fail(circuit, 0.0, *logins)
    assert circuit.is_open is is_open


def test_failures_of_one_login_do_not_open_the_circuit_while_another_is_in_use() -> None:
    circuit = Circuit()
    circuit.start("another", "b", 0.0)
    _fail(circuit, 1.0, *"aaaaaaa")
    assert not circuit.is_open
    _fail(circuit, 2.0, "b")
    assert circuit.is_open


def test_a_login_is_no_longer_in_use_after_a_minute_without_a_request() -> None:
    circuit = Circuit()
    circuit.start("another", "b", 0.0)
    _fail(circuit, 60.0, *"aaaaa")
    assert circuit.is_open


def test_a_reply_ends_the_row() -> None:
    circuit = Circuit()
    _fail(circuit, 0.0, *"abab")
    circuit.start("request", "a", 0.0)
    circuit.settle("request", 0.5, responds=True)
    _fail(circuit, 1.0, *"abab")
    assert not circuit.is_open


def test_a_closed_circuit_lets_every_request_through() -> None:
    circuit = Circuit()
    circuit.start("another", "a", 0.0)
    assert circuit.wait(0.0) == 0.0


def test_probes_are_sent_after_2_4_8_and_then_every_10_seconds() -> None:
    circuit, now, waits = _open(), 0.0, list[float]()
    for _ in range(6):
        waits.append(circuit.wait(now))
        now += circuit.wait(now)
        _fail(circuit, now, "a")
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_only_one_probe_is_in_flight() -> None:
    circuit = _open()
    circuit.start("another", "a", 2.0)
    assert circuit.wait(7.0) == 5.0


def test_a_probe_whose_caller_disappeared_is_over_after_ten_seconds() -> None:
    circuit = _open()
    circuit.start("another", "a", 2.0)
    assert circuit.wait(12.0) == 0.0


def test_a_probe_that_was_not_sent_leaves_its_turn_to_the_next_request() -> None:
    circuit = _open()
    circuit.start("request", "a", 2.0)
    circuit.settle("request", 2.0, responds=None)
    assert circuit.wait(2.0) == 0.0
    circuit.start("another", "b", 2.0)
    assert circuit.wait(2.0) == Circuit.SILENCE


def test_a_request_that_was_not_sent_changes_nothing_in_a_closed_circuit() -> None:
    circuit = Circuit()
    _fail(circuit, 0.0, *"abab")
    circuit.start("request", "a", 0.0)
    circuit.settle("request", 0.0, responds=None)
    _fail(circuit, 0.0, "b")
    assert circuit.is_open


def test_failures_of_requests_that_were_sent_before_the_opening_do_not_delay_the_probe() -> None:
    circuit = Circuit()
    circuit.start("early", "a", 0.0)
    _fail(circuit, 0.0, *"ababa")
    circuit.settle("early", 1.9, responds=False)
    assert circuit.is_open
    assert circuit.wait(2.0) == 0.0


def test_a_request_without_a_reply_for_ten_seconds_is_one_failure() -> None:
    circuit = Circuit()
    _fail(circuit, 0.0, *"abab")
    circuit.start("silent", "a", 0.0)
    circuit.wait(9.9)
    assert not circuit.is_open
    assert circuit.wait(10.0) == 2.0
    circuit.start("request", "b", 12.0)
    circuit.settle("request", 12.0, responds=True)
    _fail(circuit, 13.0, *"abab")
    circuit.settle("silent", 13.0, responds=False)
    assert not circuit.is_open


def test_the_end_of_an_older_probe_does_not_let_another_one_start() -> None:
    circuit = _open()
    circuit.start("silent", "a", 2.0)
    assert circuit.wait(12.0) == 0.0
    circuit.start("another", "b", 12.0)
    circuit.settle("silent", 12.5, responds=False)
    circuit.settle("silent", 12.5, responds=None)
    assert circuit.wait(12.5) == 9.5


def test_a_late_reply_closes_the_circuit_at_once() -> None:
    circuit = _open()
    circuit.start("probe", "a", 2.0)
    assert circuit.wait(12.0) == 0.0
    circuit.settle("probe", 12.0, responds=True)
    assert not circuit.is_open
    circuit.start("another", "a", 12.0)
    assert circuit.wait(12.0) == 0.0


def test_the_size_of_a_circuit_does_not_depend_on_the_number_of_logins() -> None:
    few, many = Circuit(), Circuit()
    _fail(few, 0.0, *"ab")
    _fail(many, 0.0, *map(str, range(100)))
    assert len(pickle.dumps(many)) <= len(pickle.dumps(few)) + 20
