"""The Django service: with Django's own test client, and as a server of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from smsc_async.simulator import sample_tariffs
from smsc_async.testing import Fault, SmscServer

if TYPE_CHECKING:
    from django.test import Client as Visitor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(smsc_server: SmscServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    added = {
        "SMSC_STORE": str(tmp_path / "tariffs.db"),
        "DJANGO_SECRET_KEY": "x",
        "DJANGO_HOSTS": "127.0.0.1,testserver",
    }
    for name, value in {**smsc_server.env, **added}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def visitor() -> Iterator[Visitor]:
    from django.test import Client as Visitor

    from examples.django_service import settings, urls
    from examples.django_service.views import get_client
    from tests.support.django_settings import django_settings

    get_client.cache_clear()
    with django_settings(**{name: value for name, value in vars(settings).items() if name.isupper()}):
        assert urls.__name__ == settings.ROOT_URLCONF
        yield Visitor(raise_request_exception=False)
    get_client().close()


def test_the_list_and_a_price_have_exact_digits(smsc_server: SmscServer, visitor: Visitor) -> None:
    reply = visitor.get("/tariffs")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == sample_tariffs().to_dict()
    assert b'"mms":"9.50"' in reply.content.replace(b" ", b"")
    assert visitor.get("/prices/32").json() == {"zone": "32", "name": "Latvia", "price": "4.10"}
    assert visitor.get("/prices/32?operator=24701").json()["price"] == "3.85"
    assert len(smsc_server.log) == 1


@pytest.mark.parametrize(("path", "status"), [("/prices/9999", 404), ("/prices/32?operator=MTS", 422), ("/ready", 200)])
def test_a_wrong_zone_or_operator_is_an_error_of_the_visitor(visitor: Visitor, path: str, status: int) -> None:
    assert visitor.get(path).status_code == status


def test_an_error_of_the_service_is_502_or_503_with_the_time_to_wait(smsc_server: SmscServer, visitor: Visitor) -> None:
    smsc_server.fail(Fault.http_status(503, retry_after=60), times=1)
    assert (visitor.get("/ready").status_code, visitor.get("/ready").status_code) == (503, 200)
    smsc_server.fail(Fault.refusal(2))
    assert visitor.get("/tariffs").status_code == 200  # the list of a moment ago


def test_a_refusal_tells_the_visitor_nothing(smsc_server: SmscServer, visitor: Visitor) -> None:
    smsc_server.fail(Fault.refusal(2))
    replies = [visitor.get("/tariffs") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [502] * 3
    assert replies[0].json() == {"detail": "the tariff list is not available"}
    assert len(smsc_server.log) == 1, "refused credentials are not sent again"


def test_a_bug_of_a_view_is_no_error_of_the_service(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.django_service.views.listed", lambda: None)
    assert visitor.get("/prices/32").status_code == 500


def test_it_runs_as_its_first_lines_say(smsc_server: SmscServer, tmp_path: Path) -> None:
    text = (ROOT / "examples/django_service/settings.py").read_text("utf-8")
    assert "DJANGO_SETTINGS_MODULE=examples.django_service.settings\npython -m django runserver\n" in text
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "examples.django_service.settings", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "django", "runserver", "--noreload", "127.0.0.1:0"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = None
            while address is None:
                line = process.stdout.readline()
                assert line, "the server has ended"
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
            with httpx.Client(base_url=address[0], verify=False, trust_env=False, timeout=60) as visitor:
                assert visitor.get("/prices/32").json()["price"] == "4.10"
        finally:
            process.terminate()
    assert [arrival.login for arrival in smsc_server.log] == [smsc_server.account.login]
