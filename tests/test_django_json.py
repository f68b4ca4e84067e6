"""A list in Django's responses: exact digits through ``to_dict()`` and ``to_json()``."""

from __future__ import annotations

import types
from collections.abc import Iterator
from decimal import Decimal
from importlib import import_module
from typing import Any

import httpx
import pytest

from smsc_async import OperatorTariff, Tariffs, Zone
from tests.support.django_settings import django_settings

LIST = Tariffs(
    (Zone("1", "Россия\x9b\ud800", Decimal("9.50")),),
    (OperatorTariff("25001", Decimal("0.1000000000000000055")),),
    Decimal("0.10"),
)


@pytest.fixture
def app() -> Iterator[Any]:
    """A Django project in one module."""
    # Django has no types; imported by name, it is Any to the type checkers.
    asgi, http, urls = map(import_module, ("django.core.asgi", "django.http", "django.urls"))

    async def by_dict(_request: object) -> object:
        return http.JsonResponse(LIST.to_dict())

    def by_json(_request: object) -> object:
        return http.HttpResponse(LIST.to_json(), content_type="application/json")

    root: Any = types.ModuleType("root")
    root.urlpatterns = [urls.path("dict", by_dict), urls.path("json", by_json)]
    with django_settings(ALLOWED_HOSTS=["service"], ROOT_URLCONF=root, MIDDLEWARE=[]):
        yield asgi.get_asgi_application()


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/dict", "/json"])
async def test_django_returns_exact_digits(app: Any, path: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        reply = await client.get(path)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == LIST.to_dict()
    assert (reply.json()["zones"][0]["api"], reply.json()["codes"][0]["cost"]) == ("9.50", "0.1000000000000000055")
