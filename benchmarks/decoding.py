"""Bytes to checked records, for 2,000 zones: beside bare parsers, and beside the same checks by other libraries."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any
from xml.etree import ElementTree as ET

import attrs

from benchmarks.pairing import Line, duration, in_turns, missing, timed
from smsc_async import Format, Service, Tariffs, decode
from smsc_async.simulator.rendering import render
from smsc_async.simulator.sample import make_tariffs

TITLE = "Decoding: 2,000 zones with random prices, every check"
TIMES = 3
SAME = "our JSON, the same body"
PRICE = r"[0-9]{1,12}(\.[0-9]{1,12})?"


def run(rounds: int) -> list[Line]:
    tariffs = with_random_prices(make_tariffs(zones=2000 if rounds >= 5 else 200, operators=0))
    bodies = {shape: render(tariffs, shape) for shape in Format}
    # To peers a missing price is one that is not there: a hook of msgspec cannot make None of an empty one.
    plainer = render(tariffs, Format.JSON, missing="absent")
    texts = {shape: body.decode() for shape, body in bodies.items()}
    contenders: dict[str, Callable[[], object]] = {
        f"our {shape.name}": partial(decode, body) for shape, body in bodies.items()
    }
    contenders[SAME] = lambda: decode(plainer)
    contenders["json.loads"] = lambda: json.loads(bodies[Format.JSON])
    contenders["ElementTree.fromstring"] = lambda: ET.fromstring(bodies[Format.XML])
    contenders["csv.reader"] = lambda: list(csv.reader(io.StringIO(texts[Format.CSV])))
    peers = {"pydantic": by_pydantic, "cattrs": by_cattrs, "msgspec": by_msgspec}
    installed = {name: make for name, make in peers.items() if find_spec(name)}
    for name, make in installed.items():
        read = make()
        checked(read(plainer), tariffs)
        contenders[name] = partial(read, plainer)
    taken = in_turns({name: timed(call, TIMES) for name, call in contenders.items()}, max(2 * rounds - 1, 3))
    lines = [
        taken.line("JSON", "our JSON", "json.loads", each=TIMES, aim="≤ 4.5"),
        taken.line("XML", "our XML", "ElementTree.fromstring", each=TIMES, aim="≤ 2.6"),
        taken.line("comma-separated", "our CSV", "csv.reader", each=TIMES, aim="≤ 5.0"),
        taken.line("plain text", "our PLAIN", "our CSV", each=TIMES, aim="≤ 1.7"),
    ]
    for name in peers:
        if name in installed:
            aim = "" if name == "msgspec" else "< 1"
            lines.append(taken.line("JSON, same records", SAME, name, each=TIMES, aim=aim))
        else:
            lines.append(missing("JSON, same records", duration(taken.median(SAME) / TIMES), name))
    return lines


def checked(read: Any, tariffs: Any) -> None:
    """See to it that a peer does the same work: frozen records with the same prices, as Decimal."""
    assert [zone.api for zone in read.zones] == [zone.api for zone in tariffs.zones]
    assert read.mail == tariffs.mail
    assert len({zone.zone for zone in read.zones}) == len(tariffs.zones)


def with_random_prices(tariffs: Tariffs) -> Tariffs:
    """Return the list with prices from 0.01 to 99.99, one in twenty missing: few texts repeat."""
    chance = random.Random(2000)

    def price() -> Decimal | None:
        return None if chance.random() < 0.05 else Decimal(chance.randrange(1, 10_000)).scaleb(-2)

    zones = [
        attrs.evolve(zone, **{service.value: price() for service in Service})  # type: ignore[arg-type]
        for zone in tariffs.zones
    ]
    return attrs.evolve(tariffs, zones=tuple(zones))


def distinct(zones: Any) -> None:
    """Refuse two rows of a zone that differ, and numbers with characters that nobody sees."""
    first: dict[str, Any] = {}
    for zone in zones:
        if not zone.zone.isprintable():
            raise ValueError("an invisible character in the number of a zone")
        same = first.setdefault(zone.zone, zone)
        if same is not zone and same != zone:
            raise ValueError("two rows of a zone differ")


def members_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) != len(members):
        raise ValueError("a member comes twice")
    return made


def by_pydantic() -> Callable[[bytes], object]:
    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

    matches = re.compile(PRICE).fullmatch

    def price(text: object) -> object:
        if text in {None, "", "-"}:
            return None
        if not isinstance(text, str) or not matches(text):
            raise ValueError("not a price")
        return Decimal(text)

    checked_price = BeforeValidator(price)

    class Zone(BaseModel):
        model_config = ConfigDict(frozen=True, extra="allow", str_strip_whitespace=True)
        zone: str = Field(min_length=1, max_length=64)
        name: str = ""
        api: Annotated[Decimal | None, checked_price] = None
        mass: Annotated[Decimal | None, checked_price] = None
        mms: Annotated[Decimal | None, checked_price] = None
        hlr: Annotated[Decimal | None, checked_price] = None
        call: Annotated[Decimal | None, checked_price] = None

    class PydanticTariffs(BaseModel):
        model_config = ConfigDict(frozen=True, extra="allow")
        zones: tuple[Zone, ...] = Field(min_length=1)
        mail: Annotated[Decimal | None, checked_price]

    # So that the names of this function are found in the annotations, which are texts.
    names = {"Annotated": Annotated, "Decimal": Decimal, "checked_price": checked_price}
    Zone.model_rebuild(_types_namespace=names)
    PydanticTariffs.model_rebuild(_types_namespace={**names, "Zone": Zone})

    def read(body: bytes) -> object:
        # Its own parser has no look at members that come twice.
        tariffs = PydanticTariffs.model_validate(json.loads(body, object_pairs_hook=members_once))
        distinct(tariffs.zones)
        return tariffs

    return read


@attrs.frozen
class PlainZone:
    zone: str
    name: str = ""
    api: Decimal | None = None
    mass: Decimal | None = None
    mms: Decimal | None = None
    hlr: Decimal | None = None
    call: Decimal | None = None


@attrs.frozen
class PlainTariffs:
    zones: tuple[PlainZone, ...]
    mail: Decimal | None


def by_cattrs() -> Callable[[bytes], object]:
    import cattrs

    converter = cattrs.Converter()
    matches = re.compile(PRICE).fullmatch

    def price(text: object, _: object) -> Decimal | None:
        if text in {None, "", "-"}:
            return None
        if not isinstance(text, str) or not matches(text):
            raise ValueError("not a price")
        return Decimal(text)

    converter.register_structure_hook(Decimal | None, price)

    def read(body: bytes) -> object:
        tariffs = converter.structure(json.loads(body, object_pairs_hook=members_once), PlainTariffs)
        if not tariffs.zones or any(not 1 <= len(zone.zone.strip()) <= 64 for zone in tariffs.zones):
            raise ValueError("no zone, or one without its number")
        distinct(tariffs.zones)
        return tariffs

    return read


def by_msgspec() -> Callable[[bytes], object]:
    import msgspec

    matches = re.compile(PRICE).fullmatch

    class Price(Decimal):
        """A type of its own, since msgspec's Decimal takes NaN and 1e999."""

    def price(_: type, text: object) -> Decimal:
        if not isinstance(text, str) or not matches(text):
            raise ValueError("not a price")
        return Price(text)

    Zone = msgspec.defstruct(
        "Zone",
        [
            ("zone", Annotated[str, msgspec.Meta(min_length=1, max_length=64)]),
            ("name", str, ""),
            *((name, Price | None, None) for name in ("api", "mass", "mms", "hlr", "call")),
        ],
        frozen=True,
    )
    StructTariffs = msgspec.defstruct(
        "Tariffs",
        [("zones", Annotated[tuple[Zone, ...], msgspec.Meta(min_length=1)]), ("mail", Price | None)],  # type: ignore[valid-type]
        frozen=True,
    )
    decoder = msgspec.json.Decoder(StructTariffs, dec_hook=price)

    def read(body: bytes) -> object:
        tariffs: Any = decoder.decode(body)
        distinct(tariffs.zones)
        return tariffs

    return read
