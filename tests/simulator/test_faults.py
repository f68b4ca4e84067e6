"""Every fault that can be switched on, and how it is switched off."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import pytest

from smsc_async import Format
from smsc_async.simulator import Fault, SimulatedAccount, Simulator, render, sample_tariffs

if TYPE_CHECKING:
    from tests.simulator.conftest import Caller, Clock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [429, 502, 503])
@pytest.mark.parametrize("retry_after", [7, "inf", "Fri, 31 Dec 1999 23:59:59 GMT", None])
async def test_a_status_comes_as_a_page_with_the_retry_after_it_was_given(
    caller: type[Caller], status: int, retry_after: float | str | None
) -> None:
    reply = await caller(Simulator(faults=[Fault.http_status(status, retry_after=retry_after)]))()
    assert reply.status_code == status
    assert reply.headers.get("retry-after") == (None if retry_after is None else str(retry_after))
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>HTTP {status}</h1>" in reply.text


@pytest.mark.parametrize(("code", "text"), [(3, "no data"), (9, "duplicate request, wait a minute"), (77, "error")])
async def test_a_refusal_comes_with_any_code_in_the_format_asked_for(
    caller: type[Caller], code: int, text: str
) -> None:
    simulator = Simulator(faults=[Fault.refusal(code)])
    assert (await caller(simulator)(fmt="3")).json() == {"error": text, "error_code": code}
    assert [(arrival.code, arrival.fault) for arrival in simulator.log] == [(code, f"refusal {code}")]


async def test_an_html_page_comes_with_status_200(caller: type[Caller]) -> None:
    reply = await caller(Simulator(faults=[Fault.html_page()]))(fmt="3")
    assert (reply.status_code, reply.text[:15]) == (200, "<!DOCTYPE html>")


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
async def test_a_truncated_answer_has_the_length_of_what_is_left(caller: type[Caller], keep: float) -> None:
    whole = render(sample_tariffs(), Format.CSV, charset="utf-8")
    reply = await caller(Simulator(faults=[Fault.truncated(keep)]))(fmt="1", charset="utf-8")
    assert reply.content == whole[: int(len(whole) * keep)]
    assert int(reply.headers["content-length"]) == len(reply.content) < len(whole)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_names_its_target(caller: type[Caller], status: int) -> None:
    fault = Fault.redirect("http://127.0.0.1:9/sys/get.php", status=status)
    reply = await caller(Simulator(faults=[fault]))()
    assert (reply.status_code, reply.headers["location"]) == (status, "http://127.0.0.1:9/sys/get.php")
    assert reply.content == b""


async def test_an_empty_answer_has_status_200_and_no_byte(caller: type[Caller]) -> None:
    reply = await caller(Simulator(faults=[Fault.empty()]))()
    assert (reply.status_code, reply.content, reply.headers["content-length"]) == (200, b"", "0")


async def test_a_mislabelled_answer_is_right_under_the_wrong_name(caller: type[Caller]) -> None:
    reply = await caller(Simulator(faults=[Fault.mislabelled()]))(fmt="3", charset="utf-8")
    assert reply.headers["content-type"] == "text/html; charset=windows-1251"
    assert reply.content == render(sample_tariffs(), Format.JSON)


@pytest.mark.parametrize("ignores_hang_ups", [True, False])
async def test_a_hanging_request_is_in_progress_until_the_caller_hangs_up(
    caller: type[Caller], clock: Clock, *, ignores_hang_ups: bool
) -> None:
    simulator = Simulator(clock=clock, latency=60.0, faults=[Fault.hang()], ignores_hang_ups=ignores_hang_ups)
    async with caller(simulator).under_way("/sys/get.php"):
        clock.now += 3600.0
        assert simulator.in_progress("alex") == 1
    assert simulator.in_progress("alex") == 0


async def test_a_stalled_request_is_in_progress_until_just_before_its_last_byte() -> None:
    simulator = Simulator(faults=[Fault.stalled(0.05)])
    seen: list[tuple[bytes, int]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            seen.append((message["body"], simulator.in_progress("alex")))

    await simulator(scope_of(b"fmt=1&charset=utf-8"), nothing_more(), send)
    whole = render(sample_tariffs(), Format.CSV)
    assert seen == [(whole[:-1], 1), (whole[-1:], 0)]
    arrival = simulator.log[0]
    assert arrival.finished_at is not None
    assert arrival.finished_at - arrival.at >= 0.05


async def test_a_connection_closed_while_the_server_works_ends_the_request_where_it_minds() -> None:
    simulator = Simulator(latency=60.0, ignores_hang_ups=False)
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await simulator(scope_of(b"fmt=1"), nothing_more(), send)
    assert sent == []
    assert simulator.in_progress("alex") == 0


async def test_a_request_whose_body_never_came_whole_did_not_arrive() -> None:
    simulator = Simulator()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError(message)

    await simulator(scope_of(b""), receive, send)
    assert simulator.log == []


async def test_a_caller_without_an_address_is_served_unless_there_is_a_list() -> None:
    simulator = Simulator([SimulatedAccount("alex", "123", allowed_addresses=["127.0.0.1"])])

    async def send(message: MutableMapping[str, Any]) -> None: ...

    await simulator({**scope_of(b"fmt=1"), "client": None}, nothing_more(), send)
    assert [(arrival.address, arrival.code) for arrival in simulator.log] == [("", 2)]


async def test_faults_take_turns_and_end_by_count(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator(clock=clock)
    simulator.fail(Fault.http_status(503), times=2)
    simulator.fail(Fault.empty(), times=1)
    ask = caller(simulator)
    assert [(await ask("/sys/send.php")).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert [arrival.fault for arrival in simulator.log] == ["HTTP 503", "HTTP 503", "empty", None]


async def test_a_fault_lasts_until_it_is_switched_off(caller: type[Caller]) -> None:
    simulator = Simulator()
    ask = caller(simulator)
    simulator.fail(Fault.empty())
    assert [(await ask("/sys/send.php")).text for _ in range(3)] == ["", "", ""]
    simulator.heal()
    assert (await ask("/sys/send.php")).text == f"OK - 1 SMS, ID - {len(simulator.log)}"


async def test_a_fault_of_one_login_leaves_the_others_alone(caller: type[Caller]) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123", api_key="k"), SimulatedAccount("olga", "456")])
    simulator.fail(Fault.empty(), login="alex")
    ask = caller(simulator)
    assert (await ask("/sys/send.php", login="olga", psw="456")).text == "OK - 1 SMS, ID - 1"
    assert (await ask("/sys/send.php", login=None, psw=None, apikey="k")).text == ""
    assert (await ask("/sys/send.php")).text == ""


async def test_a_request_that_met_a_fault_counts_like_any_other(caller: type[Caller], clock: Clock) -> None:
    simulator = Simulator(clock=clock)
    simulator.fail(Fault.http_status(502), times=3)
    ask = caller(simulator)
    for _ in range(3):
        await ask()
    assert (await ask(fmt="3")).json()["error_code"] == 9


def scope_of(query: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/sys/get.php",
        "query_string": b"get_price=1&login=alex&psw=123&" + query,
        "headers": [],
        "client": ("127.0.0.1", 4711),
    }


def nothing_more() -> Any:
    """A caller that has sent its request, some more of nothing, and hung up."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}] * 2

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
