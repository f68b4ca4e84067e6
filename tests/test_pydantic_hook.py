"""The records in pydantic models and FastAPI endpoints: exact digits, and a schema that names every field."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Annotated, Any, cast

import attrs
import httpx
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from smsc_async import Extra, OperatorTariff, Tariffs, Zone
from smsc_async.simulator import sample_tariffs

LIST = Tariffs(
    (Zone("1", 'Russia "MTS"', Decimal("9.50"), extra=Extra({"vat": "20"})), Zone("2", "\ud800\x9b")),
    (OperatorTariff("25001", Decimal("0.1000000000000000055"), Extra({"note": "new"})), OperatorTariff("25002")),
    Decimal("0.10"),
    Extra({"currency": "RUR"}),
)
PRICE = {"anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "maxLength": 64}, {"type": "null"}]}


@pytest.fixture(scope="module")
def app() -> Any:
    from fastapi import Body, FastAPI  # half a second: left to the process that runs these tests

    app = FastAPI()

    @app.get("/tariffs")
    async def tariffs() -> Tariffs:
        return LIST

    @app.get("/zones")
    async def zones() -> list[Zone]:
        return list(LIST.zones)

    @app.get("/codes")
    async def codes() -> dict[str, OperatorTariff]:
        return {each.mccmnc: each for each in LIST.codes}

    async def mail(tariffs: Tariffs) -> str:
        return repr(tariffs.mail)

    mail.__annotations__["tariffs"] = Annotated[Tariffs, Body()]
    app.post("/mail")(mail)
    return app


def service(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


@pytest.mark.asyncio
async def test_an_endpoint_returns_a_list_with_exact_digits(app: Any) -> None:
    async with service(app) as client:
        reply = await client.get("/tariffs")
        assert reply.status_code == 200
        assert reply.json() == LIST.to_dict()
        assert reply.json()["zones"][0]["api"] == "9.50"
        assert (await client.get("/zones")).json() == LIST.to_dict()["zones"]
        codes = cast("list[dict[str, str]]", LIST.to_dict()["codes"])
        assert (await client.get("/codes")).json() == {each["mccmnc"]: each for each in codes}


@pytest.mark.asyncio
async def test_an_endpoint_takes_a_list_and_refuses_what_is_none(app: Any) -> None:
    async with service(app) as client:
        reply = await client.post("/mail", content=LIST.to_json(), headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()) == (200, "Decimal('0.10')")
        assert (await client.post("/mail", json={"zones": [], "codes": [], "mail": 0.1})).status_code == 422


@pytest.mark.asyncio
async def test_the_openapi_schema_names_every_field(app: Any) -> None:
    async with service(app) as client:
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for record in (Tariffs, Zone, OperatorTariff):
        schema = schemas[record.__name__]
        documented = [name for name in attrs.fields_dict(record) if not name.startswith("_")]
        names = [name for name in documented if name not in {"extra", "fetched_at", "stale", "error"}]
        assert list(schema["properties"]) == schema["required"] == names
        assert schema["additionalProperties"] == {"type": "string"}
    assert schemas["Tariffs"]["properties"]["zones"]["items"] == {"$ref": "#/components/schemas/Zone"}
    assert schemas["Tariffs"]["properties"]["codes"]["items"] == {"$ref": "#/components/schemas/OperatorTariff"}
    for price in ("api", "mass", "mms", "hlr", "call"):
        assert schemas["Zone"]["properties"][price] == {"title": price.title(), **PRICE}


class Quote(BaseModel):
    zone: Zone
    tariffs: Tariffs | None = None


def test_a_model_holds_records_and_survives_json() -> None:
    for tariffs in (attrs.evolve(LIST, zones=LIST.zones[:1]), sample_tariffs()):
        quote = Quote(zone=tariffs.zones[0], tariffs=tariffs)
        assert quote.tariffs is tariffs
        assert Quote.model_validate_json(quote.model_dump_json()) == quote
        assert Quote.model_validate(quote.model_dump()) == quote


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_is_the_same_for_what_is_read_and_what_is_written(mode: Any) -> None:
    schema = TypeAdapter(Zone).json_schema(mode=mode)
    assert list(schema["properties"]) == ["zone", "name", "api", "mass", "mms", "hlr", "call"]


@pytest.mark.parametrize("price", [9.5, 7, True, "NaN", "1e5", "", "1_0", "\uff19"])
def test_a_price_that_is_no_decimal_text_is_refused(price: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(OperatorTariff).validate_json(json.dumps({"mccmnc": "25001", "cost": price}))


def test_the_package_does_not_import_pydantic() -> None:
    script = "import sys, smsc_async\nsmsc_async.Tariffs\nassert not {'pydantic', 'pydantic_core'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
