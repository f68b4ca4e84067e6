"""A list as a history stores it: compact, exact to the last digit, and addressed by its digest. Pure.

Rows are arrays, prices are text, members that the documentation does not name are an object at the end of a row. Not the
service's own JSON: in that a member of ``extra`` may hide behind a documented one, and ``decode()`` refuses what a user
has made by hand.

Invariant: bytes from a file never crash a reader and never yield another list than the stored one. Size, depth, types and
the grammar of prices are checked, and the digest has to fit.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from smsc_async.records import NO_EXTRA, Extra, OperatorTariff, Service, Tariffs, Zone

# A reply has at most 4 MiB, and its list is shorter here.
_TEXT_BYTES: Final = 8 * 2**20
PACKED_BYTES: Final = _TEXT_BYTES + 2**16
"""No packed list is longer: zlib adds a few bytes in a thousand to what it cannot compress."""

_prices_of: Final = attrgetter(*(service.value for service in Service))
_PRICE: Final = re.compile(r"-?[0-9]{1,64}(?:\.[0-9]{1,64})?")


def text_of(tariffs: Tariffs) -> bytes:
    """Return a list as text: the same for the same digits in the same order, and different otherwise.

    Raises:
        ValueError: A price is not a number, or the list is larger than any reply.
    """
    document = [
        [[each.zone, each.name, *map(_price_text, _prices_of(each)), *_rest(each.extra)] for each in tariffs.zones],
        [[each.mccmnc, _price_text(each.cost), *_rest(each.extra)] for each in tariffs.codes],
        _price_text(tariffs.mail),
        *_rest(tariffs.extra),
    ]
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if len(text) > _TEXT_BYTES:
        raise ValueError(f"a list of {len(text):,} bytes: a history stores at most {_TEXT_BYTES:,}")
    return text


def digest(text: bytes) -> bytes:
    """Return the address of a list."""
    return hashlib.sha256(text).digest()


def packed(text: bytes) -> bytes:
    """Return the bytes to store. The highest level: it is done once for each new list."""
    return zlib.compress(text, 9)


def unpacked(stored: bytes, address: bytes) -> Tariffs | None:
    """Return the stored list, or ``None`` if the bytes are damaged or not those of this address."""
    try:
        text = zlib.decompressobj().decompress(stored, _TEXT_BYTES)
        if digest(text) != address:
            return None
        zones, codes, mail, *rest = json.loads(text.decode("utf-8", "surrogatepass"))
        return Tariffs(tuple(map(_zone, zones)), tuple(map(_code, codes)), _price(mail), _extra(rest))
    except (zlib.error, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _price_text(price: Decimal | None) -> str | None:
    if price is None:
        return None
    text = f"{price:f}"
    if not _PRICE.fullmatch(text):
        raise ValueError(f"a price of {price}: a history stores finite numbers of at most 64 digits")
    return text


def _rest(extra: Extra) -> list[dict[str, str]]:
    return [dict(extra)] if extra else []


def _zone(row: list[Any]) -> Zone:
    zone, name, api, mass, mms, hlr, call, *rest = row
    return Zone(
        _text(zone), _text(name), _price(api), _price(mass), _price(mms), _price(hlr), _price(call), _extra(rest)
    )


def _code(row: list[Any]) -> OperatorTariff:
    mccmnc, cost, *rest = row
    return OperatorTariff(_text(mccmnc), _price(cost), _extra(rest))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _price(value: object) -> Decimal | None:
    if value is None:
        return None
    if _PRICE.fullmatch(_text(value)):
        return Decimal(_text(value))
    raise ValueError


def _extra(rest: list[Any]) -> Extra:
    if not rest:
        return NO_EXTRA
    (members,) = rest
    return Extra({_text(name): _text(value) for name, value in members.items()})
