"""The limits: three a minute, fourteen at once, five wrong passwords; judged on arrival."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator

if TYPE_CHECKING:
    from tests.simulator.conftest import Caller, Clock

pytestmark = pytest.mark.anyio


def code_of(reply: httpx.Response) -> int:
    code: int = reply.json().get("error_code", 0)
    return code


async def codes(ask: Caller, times: int, **parameters: str) -> list[int]:
    return [code_of(await ask(fmt="3", **parameters)) for _ in range(times)]


async def test_the_fourth_request_within_a_minute_is_refused(caller: type[Caller], clock: Clock) -> None:
    assert await codes(caller(Simulator(clock=clock)), 4) == [0, 0, 0, 9]


async def test_the_minute_slides(caller: type[Caller], clock: Clock) -> None:
    ask = caller(Simulator(clock=clock, rules=Rules(counts_refused=False)))
    seen: list[tuple[float, int]] = []
    for now in (0.0, 30.0, 59.0, 59.9, 60.0, 60.1, 89.9, 90.0, 118.9, 119.0):
        clock.now = now
        seen.append((now, (await codes(ask, 1))[0]))
    refused = [now for now, code in seen if code == 9]
    assert refused == [59.9, 60.1, 89.9, 118.9]


async def test_a_refused_request_counts_so_that_asking_on_keeps_the_window_shut(
    caller: type[Caller], clock: Clock
) -> None:
    ask = caller(Simulator(clock=clock))
    assert await codes(ask, 3) == [0, 0, 0]
    for _ in range(5):
        clock.now += 19.0
        assert await codes(ask, 1) == [9]
    clock.now += 60.0
    assert await codes(ask, 1) == [0]


async def test_a_refused_request_does_not_count_where_the_rules_say_so(caller: type[Caller], clock: Clock) -> None:
    ask = caller(Simulator(clock=clock, rules=Rules(counts_refused=False)))
    await codes(ask, 10)
    clock.now += 60.0
    assert await codes(ask, 4) == [0, 0, 0, 9]


async def test_a_request_with_a_wrong_password_counts_for_its_login(caller: type[Caller], clock: Clock) -> None:
    ask = caller(Simulator(clock=clock))
    assert await codes(ask, 2, psw="wrong") == [2, 2]
    assert await codes(ask, 2) == [0, 9]


async def test_format_charset_method_and_way_to_ask_do_not_make_requests_different(
    caller: type[Caller], clock: Clock
) -> None:
    ask = caller(Simulator([SimulatedAccount("alex", "123", api_key="k")], clock=clock))
    assert (await ask("/sys/get.php", "GET", fmt="1")).text.startswith("1,")
    assert (await ask("/other/get.php", fmt="2", charset="koi8-r")).text.startswith("<price>")
    assert (await ask(login=None, psw=None, apikey="k", fmt="1")).text.startswith("1,")
    assert (await ask()).text == "ERROR = 9 (duplicate request, wait a minute)"


async def test_logins_and_other_requests_have_no_part_in_the_minute_of_a_login(
    caller: type[Caller], clock: Clock
) -> None:
    ask = caller(Simulator([SimulatedAccount("alex", "123"), SimulatedAccount("olga", "456")], clock=clock))
    assert await codes(ask, 4) == [0, 0, 0, 9]
    assert await codes(ask, 3, login="olga", psw="456") == [0, 0, 0]
    assert [code_of(await ask("/sys/balance.php", fmt="3")) for _ in range(20)] == [0] * 20


@pytest.mark.parametrize(("others", "expected"), [(13, 0), (14, 9)])
async def test_the_fifteenth_request_at_once_is_refused_over_all_requests_of_a_login(
    caller: type[Caller], clock: Clock, others: int, expected: int
) -> None:
    simulator = Simulator(clock=clock, latency=iter([60.0] * others + [0.0] * 2).__next__)
    ask = caller(simulator)
    async with ask.under_way("/sys/get.php", *["/sys/send.php"] * (others - 1)):
        assert code_of(await ask(fmt="3")) == expected
        assert simulator.peak("alex") == others + 1
        assert simulator.in_progress("alex") == others
        assert [each.rule for each in simulator.violations()] == ["simultaneous"] * (expected == 9)
    clock.now += 60.0
    assert code_of(await ask(fmt="3")) == 0


async def test_five_wrong_passwords_block_the_address_for_half_an_hour(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123"), SimulatedAccount("olga", "456")], clock=clock)
    ask = caller(simulator)
    assert await codes(ask, 3, psw="wrong") == [2, 2, 2]
    assert await codes(ask, 3, login="nobody") == [2, 2, 4]
    clock.now += 1799.9
    assert await codes(ask, 1, login="olga", psw="456") == [4]
    assert await codes(caller(simulator, "192.0.2.1"), 1, login="olga", psw="456") == [0]
    clock.now += 0.1
    assert await codes(ask, 1, login="olga", psw="456") == [0]
    assert await codes(ask, 1, psw="wrong") == [2]


async def test_wrong_passwords_block_only_when_five_fall_into_half_an_hour(caller: type[Caller], clock: Clock) -> None:
    ask = caller(Simulator(clock=clock))
    assert await codes(ask, 4, psw="wrong") == [2, 2, 2, 2]
    clock.now += 1800.0
    assert await codes(ask, 4, psw="wrong") == [2, 2, 2, 2]
    clock.now += 60.0
    assert await codes(ask, 1) == [0]


async def test_the_caller_who_hangs_up_is_in_progress_until_the_work_is_done(
    caller: type[Caller], clock: Clock
) -> None:
    simulator = Simulator(latency=30.0, clock=clock)
    async with caller(simulator).under_way("/sys/get.php"):
        clock.now += 10.0
    assert simulator.in_progress("alex") == 1
    clock.now += 19.9
    assert simulator.in_progress("alex") == 1
    clock.now += 0.1
    assert simulator.in_progress("alex") == 0
    assert [arrival.finished_at for arrival in simulator.log] == [1030.0]


async def test_the_caller_who_hangs_up_on_a_server_that_minds_is_in_progress_no_more(
    caller: type[Caller], clock: Clock
) -> None:
    simulator = Simulator(latency=30.0, clock=clock, ignores_hang_ups=False)
    async with caller(simulator).under_way("/sys/get.php"):
        clock.now += 10.0
        assert simulator.in_progress("alex") == 1
    assert simulator.in_progress("alex") == 0
    assert [arrival.finished_at for arrival in simulator.log] == [1010.0]


async def test_a_server_that_minds_hang_ups_still_takes_its_time_to_answer(caller: type[Caller]) -> None:
    simulator = Simulator(latency=0.05, ignores_hang_ups=False)
    assert code_of(await caller(simulator)(fmt="3")) == 0
    assert simulator.log[0].finished_at is not None
    assert simulator.log[0].finished_at - simulator.log[0].at >= 0.05


async def test_the_log_tells_everything_about_an_arrival_but_the_credentials(
    caller: type[Caller], clock: Clock
) -> None:
    simulator = Simulator([SimulatedAccount("alex", "s3cret", api_key="k-4711")], clock=clock)
    ask = caller(simulator, "192.0.2.7")
    await ask(psw="s3cret", fmt="3")
    await ask("/sys/get.php", "GET", psw="t1po")
    await ask("/sys/balance.php", login=None, psw=None, apikey="k-4711")
    await ask(login="nobody")
    first, second, third, fourth = simulator.log
    assert (first.number, first.at, first.finished_at, first.login) == (1, 1000.0, 1000.0, "alex")
    assert (first.path, first.method, first.format.name, first.code) == ("/sys/get.php", "POST", "JSON", 0)
    assert (first.address, first.in_progress, first.identical_key) == ("192.0.2.7", 1, second.identical_key)
    assert (second.method, second.code, second.fault) == ("GET", 2, None)
    assert (third.path, third.login, third.identical_key) == ("/sys/balance.php", "alex", None)
    assert (fourth.login, fourth.code, fourth.in_progress, fourth.identical_key) == ("nobody", 2, 0, None)
    assert simulator.arrivals("alex") == [first, second, third]
    for secret in ("s3cret", "t1po", "k-4711"):
        assert secret not in repr(simulator.log)


async def test_the_log_is_bounded_and_forgets_the_oldest_first(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator(clock=clock, keep=2)
    await codes(caller(simulator), 3)
    assert [arrival.number for arrival in simulator.log] == [2, 3]


async def test_an_arrival_that_the_log_has_forgotten_ends_all_the_same(caller: type[Caller]) -> None:
    simulator = Simulator(keep=1, latency=iter([60.0, 0.0]).__next__, ignores_hang_ups=False)
    ask = caller(simulator)
    async with ask.under_way("/sys/get.php"):
        await ask()
        assert [arrival.number for arrival in simulator.log] == [2]
    assert simulator.in_progress("alex") == 0


async def test_a_reset_simulator_has_seen_nothing(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator(clock=clock, faults=[Fault.empty()])
    ask = caller(simulator)
    for _ in range(6):
        await ask(psw="wrong")
    simulator.reset()
    assert simulator.log == []
    assert simulator.peak("alex") == simulator.in_progress("alex") == 0
    assert await codes(ask, 3) == [0, 0, 0]


async def test_a_request_that_was_under_way_at_a_reset_ends_without_a_trace(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator(clock=clock, latency=60.0)
    async with caller(simulator).under_way("/sys/get.php"):
        simulator.reset()
    assert simulator.log == []
    assert simulator.in_progress("alex") == 0


@pytest.mark.parametrize(
    ("latency", "expected"), [((0.001, 0.01), None), (lambda: 0.01, 0.01), (0.01, 0.01)], ids=["range", "call", "fixed"]
)
async def test_latency_is_a_number_a_range_or_a_function(
    caller: type[Caller], latency: float | tuple[float, float] | Callable[[], float], expected: float | None
) -> None:
    simulator = Simulator(latency=latency, seed=1)
    await caller(simulator)()
    arrival = simulator.log[0]
    assert arrival.finished_at is not None
    assert arrival.finished_at - arrival.at >= (expected or 0.001)


async def test_violations_are_the_fourth_in_a_minute_and_the_fifth_wrong_password(
    caller: type[Caller], clock: Clock
) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123"), SimulatedAccount("olga", "456")], clock=clock)
    ask = caller(simulator)
    for now in (0.0, 0.0, 59.9, 60.0, 60.0, 60.0):
        clock.now = now
        await ask()
    for _ in range(5):
        await ask("/sys/send.php", login="olga", psw="wrong")
    found = simulator.violations()
    assert [(each.rule, each.arrival.number) for each in found] == [
        ("identical", 6),
        ("authorization", 11),
    ]
    assert [each.rule for each in simulator.violations("alex")] == ["identical"]


@pytest.mark.parametrize("latency", [-1.0, float("nan"), float("inf"), (2.0, 1.0)])
async def test_a_latency_that_is_none_is_refused(latency: float | tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="latency"):
        Simulator(latency=latency)
