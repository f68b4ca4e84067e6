"""Replies of one shape in each format, written from raw text, faults included."""

from __future__ import annotations

import html
import json

import pytest

from smsc_async import DecodeError, Format, Service, Tariffs, decode

FORMATS = list(Format)
ZONE = {"zone": "1", "name": "Russia", "api": "2.50", "mass": "2.40", "mms": "8.00", "hlr": "0.30", "call": "1.20"}
CODE = {"mccmnc": "25001", "cost": "1.85"}
MAIL = "0.10"

Row = dict[str, str]


def zone(**members: str) -> Row:
    return {**ZONE, **members}


def reply(
    form: Format,
    zones: list[Row] | None = None,
    codes: list[Row] | None = None,
    mail: str | None = MAIL,
) -> bytes:
    """Return the reply; a row without a member lacks it, in comma-separated text as an empty column."""
    zones = [ZONE] if zones is None else zones
    codes = [CODE] if codes is None else codes
    match form:
        case Format.PLAIN:
            lines = [", ".join(f"{name} = {value}" for name, value in row.items()) for row in zones + codes]
            text = "".join(f"{line}\n" for line in [*lines, *([] if mail is None else [f"mail = {mail}"])])
        case Format.CSV:
            rows = [[row.get(name, "") for name in ZONE] for row in zones]
            rows += [[row.get(name, "") for name in CODE] for row in codes]
            text = "".join(f"{','.join(row)}\n" for row in [*rows, *([] if mail is None else [[mail]])])
        case Format.XML:
            end = "" if mail is None else f"<mail>{html.escape(mail)}</mail>"
            text = f"<price><zones>{_elements('zone', zones)}</zones><codes>{_elements('mccmnc', codes)}</codes>{end}</price>"
        case Format.JSON:
            members = {"zones": zones, "codes": codes} | ({} if mail is None else {"mail": mail})
            text = json.dumps(members, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _elements(name: str, rows: list[Row]) -> str:
    return "".join(
        f"<{name}"
        + "".join(f' {key}="{html.escape(value)}"' for key, value in row.items() if key != name)
        + f">{html.escape(row.get(name, ''))}</{name}>"
        for row in rows
    )


def place(form: Format, member: str, row: int = 0) -> str:
    """Return the name of a place in the zones, whose rows count from 0 here."""
    if form is Format.JSON:
        return f"zones[{row}].{member}"
    if form is Format.XML:
        return f"zones/zone[{row + 1}]" + ("" if member == "zone" else f"/@{member}")
    return f"line {row + 1}, {member}"


def fault(body: bytes, form: Format | None = None, charset: str | None = None) -> DecodeError:
    """Return the error that decoding ends in."""
    with pytest.raises(DecodeError) as caught:
        decode(body, format=form, charset=charset)
    error = caught.value
    assert error.__context__ is None
    assert error.__cause__ is None
    assert error.excerpt.isprintable() or not error.excerpt
    assert len(error.excerpt) <= 60
    assert error.body == body[: 2**16]
    return error


def prices(tariffs: Tariffs, row: int = 0) -> dict[str, str | None]:
    """Return the prices of a zone as they print."""
    values = {service.value: getattr(tariffs.zones[row], service.value) for service in Service}
    return {name: None if value is None else str(value) for name, value in values.items()}
