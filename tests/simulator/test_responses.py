"""What is answered to whom, in the test's own loop: every row of the specification's tables."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import httpx
import pytest

from smsc_async import Format, Tariffs, Zone
from smsc_async.simulator import Rules, SimulatedAccount, Simulator, render, render_refusal, sample_tariffs

if TYPE_CHECKING:
    from tests.simulator.conftest import Caller

pytestmark = pytest.mark.anyio

CHARSETS = ["utf-8", "windows-1251", "koi8-r"]
TYPES = {Format.PLAIN: "text/plain", Format.CSV: "text/plain", Format.XML: "text/xml", Format.JSON: "application/json"}
REFUSALS = {1: "parameters error", 2: "authorise error", 4: "ip is blocked", 9: "duplicate request, wait a minute"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("charset", CHARSETS)
@pytest.mark.parametrize("shape", list(Format))
async def test_the_list_comes_in_every_format_and_charset_by_get_and_by_post(
    caller: type[Caller], shape: Format, charset: str, method: str
) -> None:
    reply = await caller(Simulator())("/sys/get.php", method, fmt=str(shape.value), charset=charset)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == f"{TYPES[shape]}; charset={charset}"
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert reply.content == render(sample_tariffs(), shape, charset=charset)


async def test_the_answer_is_plain_text_in_windows_1251_unless_told_otherwise(caller: type[Caller]) -> None:
    reply = await caller(Simulator())(charset=None)
    assert reply.headers["content-type"] == "text/plain; charset=windows-1251"
    assert reply.content == render(sample_tariffs(), Format.PLAIN, charset="windows-1251")


@pytest.mark.parametrize("path", ["/get.php", "/sys/get.php", "/some/prefix/get.php"])
async def test_any_path_that_ends_in_get_php_serves_the_list(caller: type[Caller], path: str) -> None:
    assert (await caller(Simulator())(path, fmt="3")).json()["mail"] == "0.10"


@pytest.mark.parametrize("shape", list(Format))
@pytest.mark.parametrize("code", REFUSALS)
async def test_every_refusal_comes_with_status_200_in_the_format_asked_for(
    caller: type[Caller], code: int, shape: Format
) -> None:
    ask = caller(Simulator(rules=Rules(requests=1, wrong_passwords=1)))
    provoke: dict[str, str | None] = {}
    if code == 1:
        provoke = {"get_price": None}
    elif code == 2:
        provoke = {"psw": "wrong"}
    elif code == 4:
        await ask(psw="wrong")
    else:
        await ask()
    reply = await ask(fmt=str(shape.value), charset="utf-8", **provoke)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == f"{TYPES[shape]}; charset=utf-8"
    assert reply.content == render_refusal(code, REFUSALS[code], shape)


@pytest.mark.parametrize(
    "parameters",
    [
        {"get_price": None},
        {"get_price": "0"},
        {"login": None},
        {"psw": None},
        {"login": ""},
        {"psw": ""},
        {"login": None, "psw": None, "apikey": ""},
        {"charset": "utf-16"},
        {"fmt": "4"},
        {"fmt": ""},
        {"fmt": "-1"},
        {"fmt": "xml"},
    ],
)
async def test_incomplete_or_unknown_parameters_are_error_1_and_no_wrong_password(
    caller: type[Caller], parameters: dict[str, str | None]
) -> None:
    ask = caller(Simulator(rules=Rules(wrong_passwords=1)))
    assert (await ask(**parameters)).text == "ERROR = 1 (parameters error)"
    assert (await ask()).text.startswith("zone = 1, ")


@pytest.mark.parametrize("parameters", [{"login": "nobody"}, {"psw": "wrong"}, {"apikey": "wrong"}])
async def test_a_wrong_login_password_or_key_is_error_2(caller: type[Caller], parameters: dict[str, str]) -> None:
    assert (await caller(Simulator())(**parameters)).text == "ERROR = 2 (authorise error)"


async def test_an_api_key_stands_for_login_and_password(caller: type[Caller]) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123", api_key="k-4711"), SimulatedAccount("olga", "456")])
    reply = await caller(simulator)(login=None, psw=None, apikey="k-4711", fmt="3")
    assert reply.json()["zones"][0]["zone"] == "1"
    assert [arrival.login for arrival in simulator.log] == ["alex"]


async def test_an_old_account_takes_the_md5_of_its_password_and_a_new_one_does_not(caller: type[Caller]) -> None:
    digest = hashlib.md5(b"123").hexdigest()
    old = caller(Simulator([SimulatedAccount("alex", "123", accepts_md5=True)]))
    assert (await old(psw=digest)).text.startswith("zone")
    assert (await old(psw=digest.upper())).text.startswith("zone")
    assert (await old()).text.startswith("zone")
    assert (await caller(Simulator())(psw=digest)).text == "ERROR = 2 (authorise error)"


async def test_an_address_that_is_not_on_the_allow_list_is_error_2(caller: type[Caller]) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123", allowed_addresses=["192.0.2.1", "10.0.0.0/8"])])
    for address in ("192.0.2.1", "10.1.2.3"):
        assert (await caller(simulator, address)()).text.startswith("zone")
    for address in ("192.0.2.2", "::1", "no address"):
        assert (await caller(simulator, address)()).text == "ERROR = 2 (authorise error)"


async def test_the_form_takes_precedence_over_the_query_and_other_bodies_are_not_read() -> None:
    transport = httpx.ASGITransport(Simulator())
    query = {"get_price": "1", "login": "alex", "psw": "wrong", "fmt": "3", "charset": "utf-8"}
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator", params=query) as client:
        assert (await client.post("/sys/get.php", data={"psw": "123"})).json()["mail"] == "0.10"
        assert (await client.post("/sys/get.php", files={"psw": (None, "123")})).json()["mail"] == "0.10"
        assert (await client.post("/sys/get.php", json={"psw": "123"})).json()["error_code"] == 2


async def test_each_account_gets_its_own_list_its_own_way(caller: type[Caller]) -> None:
    cheap = SimulatedAccount("olga", "456", tariffs=sample_tariffs(Decimal("0.5")), missing="absent")
    ask = caller(Simulator([SimulatedAccount("alex", "123"), cheap]))
    alex = (await ask(fmt="3")).json()
    olga = (await ask(login="olga", psw="456", fmt="3")).json()
    assert (alex["zones"][31]["api"], olga["zones"][31]["api"]) == ("4.10", "2.05")
    assert alex["zones"][31]["mms"] == ""
    assert "mms" not in olga["zones"][31]


async def test_a_replaced_account_answers_with_its_new_list_and_key_at_once(caller: type[Caller]) -> None:
    simulator = Simulator([SimulatedAccount("alex", "123", api_key="old")])
    ask = caller(simulator)
    await ask(fmt="3")
    simulator.put(SimulatedAccount("alex", "new", api_key="new", tariffs=Tariffs((Zone("7", "Seven"),))))
    assert (await ask(psw="new", fmt="1")).text == "7,Seven,,,,,\n-\n"
    assert (await ask(login=None, psw=None, apikey="old")).text == "ERROR = 2 (authorise error)"
    assert (await ask(login=None, psw=None, apikey="new", fmt="1")).text.startswith("7,")


BALANCE = ["1871.62", "1871.62", "<balance>1871.62</balance>", '{\n"balance": "1871.62"\n}']
SENT = ["OK - 2 SMS, ID - 1", "1,2", "<result>\n<id>1</id>\n<cnt>2</cnt>\n</result>", '{\n"id": 1,\n"cnt": 2\n}']
COST = [
    "7.70 (2 SMS)",
    "7.70,2",
    "<result>\n<cost>7.70</cost>\n<cnt>2</cnt>\n</result>",
    '{\n"cost": "7.70",\n"cnt": 2\n}',
]
STATUS = ["Status = -3", "-3", "<result>\n<status>-3</status>\n</result>", '{\n"status": -3\n}']


@pytest.mark.parametrize("shape", list(Format))
async def test_neighbouring_requests_are_answered_in_the_shape_of_the_service(
    caller: type[Caller], shape: Format
) -> None:
    for page, parameters, replies in (
        ("balance.php", {}, BALANCE),
        ("send.php", {"phones": "79990000001, 79990000002", "mes": "x"}, SENT),
        ("send.php", {"phones": "79990000001;79990000002", "mes": "x", "cost": "1"}, COST),
        ("status.php", {"phone": "79990000001", "id": "7"}, STATUS),
    ):
        reply = await caller(Simulator())(f"/sys/{page}", get_price=None, fmt=str(shape.value), **parameters)
        assert reply.text == replies[shape]
        assert reply.headers["content-type"] == f"{TYPES[shape]}; charset=utf-8"


async def test_a_message_costs_nothing_where_the_first_zone_has_no_price(caller: type[Caller]) -> None:
    free = SimulatedAccount("alex", "123", tariffs=Tariffs((Zone("1", "a"),)), balance=Decimal("-0.50"))
    ask = caller(Simulator([free]))
    assert (await ask("/sys/send.php", get_price=None, cost="1")).text == "0 (1 SMS)"
    assert (await ask("/sys/balance.php", get_price=None)).text == "-0.50"


async def test_other_requests_need_the_password_as_well(caller: type[Caller]) -> None:
    ask = caller(Simulator())
    assert (await ask("/sys/send.php", get_price=None, fmt="3")).json() == {"id": 1, "cnt": 1}
    assert json.loads((await ask("/sys/send.php", psw="wrong", fmt="3")).text)["error_code"] == 2


async def test_other_paths_and_methods_are_not_served() -> None:
    simulator = Simulator()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(simulator), base_url="http://simulator") as client:
        for path in ("/", "/sys/", "/sys/get.html", "/sys/users.php"):
            assert (await client.get(path)).status_code == 404
        reply = await client.put("/sys/get.php")
        assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD, POST")
    assert simulator.log == []
