"""What the simulator is made of, and what it refuses to be made of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from smsc_async import Format
from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator, make_tariffs, render, sample_tariffs


@pytest.mark.parametrize(
    "rules",
    [
        {"requests": 0},
        {"concurrent": 0},
        {"wrong_passwords": 0},
        {"per": 0.0},
        {"per": float("nan")},
        {"wrong_password_window": -1.0},
        {"block": float("inf")},
    ],
)
def test_rules_out_of_range_are_refused_by_name(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(rules))):
        Rules(**rules)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"login": ""}, "login is empty"),
        ({"password": " "}, "password is empty"),
        ({"api_key": ""}, "api_key is empty"),
        ({"allowed_addresses": "127.0.0.1"}, r"a list of addresses, such as \['127.0.0.1'\]"),
        ({"allowed_addresses": ["localhost"]}, "localhost"),
    ],
)
def test_an_account_out_of_order_is_refused(arguments: dict[str, Any], complaint: str) -> None:
    complete: dict[str, Any] = {"login": "alex", "password": "123", **arguments}
    with pytest.raises(ValueError, match=complaint):
        SimulatedAccount(**complete)


def test_an_account_shows_its_login_and_no_credential() -> None:
    assert repr(SimulatedAccount("alex", "s3cret", api_key="k-4711")) == (
        "SimulatedAccount(login='alex', allowed_addresses=None, accepts_md5=False, missing='empty')"
    )


def test_two_accounts_share_neither_a_login_nor_a_key() -> None:
    with pytest.raises(ValueError, match="two accounts have the login 'alex'"):
        Simulator([SimulatedAccount("alex", "1"), SimulatedAccount("alex", "2")])
    with pytest.raises(ValueError, match="'olga' has the API key of 'alex'"):
        Simulator([SimulatedAccount("alex", "1", api_key="k"), SimulatedAccount("olga", "2", api_key="k")])


def test_a_log_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="keep"):
        Simulator(keep=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault.http_status(99),
        lambda: Fault.http_status(600),
        lambda: Fault.redirect("/", status=304),
        lambda: Fault.truncated(1.5),
        lambda: Fault.stalled(-1),
        lambda: Fault.stalled(float("nan")),
        lambda: Simulator().fail(Fault.empty(), times=0),
    ],
)
def test_a_fault_out_of_range_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_the_sample_is_large_enough_to_be_real() -> None:
    tariffs = sample_tariffs()
    assert len(tariffs.zones) == 66
    assert len(tariffs.codes) == 27
    assert len({zone.zone for zone in tariffs.zones}) == len({zone.name for zone in tariffs.zones}) == 66
    assert len({operator.mccmnc for operator in tariffs.codes}) == 27


def test_the_sample_has_names_that_break_careless_readers_and_prices_that_are_missing() -> None:
    tariffs = sample_tariffs()
    names = "\n".join(zone.name for zone in tariffs.zones)
    for character in ",\"()=&;:'яїé":
        assert character in names
    assert any(zone.api is None or zone.mms is None for zone in tariffs.zones)
    assert any(operator.cost is None for operator in tariffs.codes)


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "koi8-r"])
@pytest.mark.parametrize("shape", list(Format))
def test_the_sample_can_be_written_in_every_format_and_charset(shape: Format, charset: str) -> None:
    assert b"4.10" in render(sample_tariffs(), shape, charset=charset)


def test_a_factor_makes_another_list_of_the_same_zones() -> None:
    cheap = sample_tariffs(Decimal("0.9"))
    assert [zone.name for zone in cheap.zones] == [zone.name for zone in sample_tariffs().zones]
    assert (cheap.zone("1").api, cheap.zone("6").mms, cheap.mail) == (Decimal("3.47"), None, Decimal("0.09"))
    assert cheap.operator("25001").cost == Decimal("3.08")


@pytest.mark.parametrize("factor", ["0", "-1", "NaN", "Infinity"])
def test_a_factor_that_is_none_is_refused(factor: str) -> None:
    with pytest.raises(ValueError, match="factor"):
        sample_tariffs(Decimal(factor))


def test_a_made_list_has_the_size_asked_for_and_depends_on_the_seed_alone() -> None:
    tariffs = make_tariffs(zones=400, operators=300, seed=7)
    assert (len(tariffs.zones), len(tariffs.codes)) == (400, 300)
    assert len({zone.zone for zone in tariffs.zones}) == 400
    assert len({operator.mccmnc for operator in tariffs.codes}) == 300
    assert all(len(operator.mccmnc) == 5 for operator in tariffs.codes)
    assert tariffs == make_tariffs(zones=400, operators=300, seed=7)
    assert tariffs != make_tariffs(zones=400, operators=300, seed=8)


@pytest.mark.parametrize("size", [{"zones": 0}, {"operators": -1}, {"operators": 50_001}])
def test_a_made_list_of_an_impossible_size_is_refused(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(size))):
        make_tariffs(**size)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    import smsc_async.simulator as package

    with pytest.raises(AttributeError, match="no attribute 'Simulatr'"):
        getattr(package, "Simulatr")  # noqa: B009  # the type checkers know as well


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import smsc_async.simulator as package

    monkeypatch.delitem(sys.modules, "smsc_async.simulator.serving", raising=False)
    monkeypatch.setitem(sys.modules, "h11", None)
    with pytest.raises(ImportError, match=r'serve needs h11: pip install "smsc-async\[simulator\]"'):
        _ = package.serve


def test_the_app_rendering_rules_and_lists_need_no_extra() -> None:
    script = (
        "import sys; sys.modules.update(starlette=None, uvicorn=None, h11=None)\n"
        "from smsc_async.simulator import Fault, Rules, SimulatedAccount, Simulator, make_tariffs, render, sample_tariffs\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
