"""A list as a history keeps it: compact, to the last digit, and found again by its digest. Pure.

Rows are arrays, prices are text, members that the documentation does not name are an object at the end of a row. Not the
service's own JSON: in that a member of ``extra`` may hide behind a documented one, and ``decode()`` refuses what a user
has made by hand.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from decimal import Decimal, InvalidOperation
from typing import Any

from smsc_async.records import NO_EXTRA, Extra, OperatorTariff, Tariffs, Zone

__all__ = ["digest", "packed", "unpacked", "written"]


def written(tariffs: Tariffs) -> bytes:
    """Return a list as text: the same for the same digits in the same order, and else another one."""
    document = [
        [
            [
                each.zone,
                each.name,
                *map(_text, (each.api, each.mass, each.mms, each.hlr, each.call)),
                *_rest(each.extra),
            ]
            for each in tariffs.zones
        ],
        [[each.mccmnc, _text(each.cost), *_rest(each.extra)] for each in tariffs.codes],
        _text(tariffs.mail),
        *_rest(tariffs.extra),
    ]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def digest(text: bytes) -> bytes:
    """Return what a list is found by."""
    return hashlib.sha256(text).digest()


def packed(text: bytes) -> bytes:
    """Return the bytes to keep. The highest level: it is done once for each list that is new."""
    return zlib.compress(text, 9)


def unpacked(kept: bytes) -> Tariffs | None:
    """Return the list in the bytes that were kept, or ``None`` where they are damaged."""
    try:
        zones, codes, mail, *rest = json.loads(zlib.decompress(kept).decode("utf-8", "surrogatepass"))
        return Tariffs(tuple(map(_zone, zones)), tuple(map(_code, codes)), _price(mail), _extra(rest))
    except (zlib.error, ValueError, TypeError, InvalidOperation):
        return None


def _text(price: Decimal | None) -> str | None:
    return None if price is None else str(price)


def _rest(extra: Extra) -> list[dict[str, str]]:
    return [dict(extra)] if extra else []


def _zone(row: list[Any]) -> Zone:
    zone, name, api, mass, mms, hlr, call, *rest = row
    return Zone(zone, name, _price(api), _price(mass), _price(mms), _price(hlr), _price(call), _extra(rest))


def _code(row: list[Any]) -> OperatorTariff:
    mccmnc, cost, *rest = row
    return OperatorTariff(mccmnc, _price(cost), _extra(rest))


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _extra(rest: list[dict[str, str]]) -> Extra:
    return Extra(rest[0]) if rest else NO_EXTRA
