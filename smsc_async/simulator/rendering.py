"""Replies of the service: a tariff list or a refusal in each of the four documented formats (``spec/``).

Pure, and without the packages of the extra: tests of a decoder need nothing else. The formats follow the
specification line by line; this module decides what the specification leaves open:

- the text formats quote nothing and end with a line break; blank lines between their sections are page layout;
- XML has no declaration; only the ``Content-Type`` names the charset;
- the e-mail price is always written, since a reader takes a list without it as truncated.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, Literal, TypeAlias, assert_never

from smsc_async.records import Extra, Format, OperatorTariff, Tariffs, Zone

Missing: TypeAlias = Literal["empty", "dash", "absent"]
"""How the service writes a missing price."""

_Members: TypeAlias = list[tuple[str, str]]

_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_NAME: Final = re.compile(r"[^\W\d][\w.-]*")
_XML_ESCAPES: Final = str.maketrans(
    # Line breaks too: a parser turns a bare one inside an attribute into a space.
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def render(tariffs: Tariffs, format: Format, *, charset: str = "utf-8", missing: Missing = "empty") -> bytes:  # noqa: A002  # the word of the request
    """Return the reply body for a tariff list.

    Members of ``extra`` follow the documented ones (in plain text those of the list as lines after ``mail``; in XML
    as elements after it); comma-separated text has no place for them. A member with a documented name is left out.
    Characters that the charset does not have become references in XML, escapes in JSON, ``?`` in the text formats.

    Args:
        tariffs: The list.
        format: The format.
        charset: Any text encoding that Python knows.
        missing: How to write a price of ``None``: as an empty value, as ``-``, or not at all. In comma-separated
            text, where a column cannot be left out, ``"absent"`` is an empty column, and a missing e-mail price is
            always ``-``: it is a line of its own, and an empty last line is none.

    Returns:
        The body, never empty.

    Raises:
        ValueError: The charset is unknown, or the format cannot hold the list: a line break in a text format, an
            invalid character or member name in XML.

    Example:
        >>> from decimal import Decimal
        >>> from smsc_async import Format, Tariffs, Zone
        >>> from smsc_async.simulator.rendering import render
        >>> tariffs = Tariffs((Zone("1", "Russia (MTS, T2)", api=Decimal("2.50")),), mail=Decimal("0.10"))
        >>> print(render(tariffs, Format.CSV).decode(), end="")
        1,Russia (MTS, T2),2.50,,,,
        0.10
    """
    match format:
        case Format.PLAIN:
            return _encode(_plain(tariffs, missing), charset)
        case Format.CSV:
            return _encode(_csv(tariffs, missing), charset)
        case Format.XML:
            return _encode(_xml(tariffs, missing), charset, "xmlcharrefreplace")
        case Format.JSON:
            return _encode(_json(tariffs, missing), charset, "smsc_async.json")
        case _:
            assert_never(format)


def render_refusal(code: int, description: str, format: Format, *, charset: str = "utf-8") -> bytes:  # noqa: A002  # the word of the request
    """Return the reply body for a refusal.

    Args:
        code: The error code.
        description: Its text; comma-separated text has no place for it.
        format: The format.
        charset: Any text encoding that Python knows.

    Raises:
        ValueError: As in ``render``.

    Example:
        >>> from smsc_async import Format
        >>> from smsc_async.simulator.rendering import render_refusal
        >>> render_refusal(2, "authorise error", Format.PLAIN)
        b'ERROR = 2 (authorise error)'
        >>> render_refusal(2, "authorise error", Format.CSV)
        b'0,-2'
    """
    match format:
        case Format.PLAIN:
            return _encode(f"ERROR = {code} ({_line(description)})", charset)
        case Format.CSV:
            return _encode(f"0,-{code}", charset)
        case Format.XML:
            error = f"<result>\n<error>{_escaped(description)}</error>\n<error_code>{code}</error_code>\n</result>"
            return _encode(error, charset, "xmlcharrefreplace")
        case Format.JSON:
            error = f'{{\n"error": {_quoted(description)},\n"error_code": {code}\n}}'
            return _encode(error, charset, "smsc_async.json")
        case _:
            assert_never(format)


def _plain(tariffs: Tariffs, missing: Missing) -> str:
    lines = [_assignments(_zone_members(zone, missing)) for zone in tariffs.zones]
    lines += [_assignments(_operator_members(operator, missing)) for operator in tariffs.codes]
    lines.append(f"mail = {_mail(tariffs, missing)}")
    lines += [_assignments([member]) for member in _list_extra(tariffs)]
    return "".join(f"{line}\n" for line in lines)


def _assignments(members: _Members) -> str:
    return _line(", ".join(f"{name} = {value}" for name, value in members))


def _csv(tariffs: Tariffs, missing: Missing) -> str:
    column: Missing = "dash" if missing == "dash" else "empty"
    rows = [[zone.zone, zone.name, *(value for _, value in _prices(zone, column))] for zone in tariffs.zones]
    rows += [[operator.mccmnc, _price(operator.cost, column)] for operator in tariffs.codes]
    rows.append([_price(tariffs.mail, "dash")])
    return "".join(f"{_line(','.join(row))}\n" for row in rows)


def _xml(tariffs: Tariffs, missing: Missing) -> str:
    lines = ["<price>", "<zones>"]
    # [1:]: the number is the text of the element, not an attribute.
    lines += [_element("zone", _zone_members(zone, missing)[1:], zone.zone) for zone in tariffs.zones]
    lines.append("</zones>")
    if tariffs.codes or missing != "absent":
        lines.append("<codes>")
        lines += [_element("mccmnc", _operator_members(each, missing)[1:], each.mccmnc) for each in tariffs.codes]
        lines.append("</codes>")
    lines.append(_element("mail", [], _mail(tariffs, missing)))
    lines += [_element(name, [], value) for name, value in _list_extra(tariffs)]
    lines.append("</price>")
    return "\n".join(lines)


def _element(name: str, attributes: _Members, text: str) -> str:
    assignments = "".join(f' {_named(key)}="{_escaped(value)}"' for key, value in attributes)
    return f"<{_named(name)}{assignments}>{_escaped(text)}</{name}>"


def _json(tariffs: Tariffs, missing: Missing) -> str:
    members = [f'"zones": {_array(_zone_members(zone, missing) for zone in tariffs.zones)}']
    if tariffs.codes or missing != "absent":
        members.append(f'"codes": {_array(_operator_members(each, missing) for each in tariffs.codes)}')
    members += [_pair(name, value) for name, value in [("mail", _mail(tariffs, missing)), *_list_extra(tariffs)]]
    return _object(members)


def _array(items: Iterable[_Members]) -> str:
    return "[" + ",\n".join(_object([_pair(name, value) for name, value in item]) for item in items) + "]"


def _object(pairs: list[str]) -> str:
    return "{\n" + ",\n".join(pairs) + "\n}"


def _pair(name: str, value: str) -> str:
    return f"{_quoted(name)}: {_quoted(value)}"


def _zone_members(zone: Zone, missing: Missing) -> _Members:
    return _with_extra([("zone", zone.zone), ("name", zone.name), *_prices(zone, missing)], zone.extra, _OF_A_ZONE)


def _operator_members(operator: OperatorTariff, missing: Missing) -> _Members:
    cost = [("cost", _price(operator.cost, missing))]
    known = [("mccmnc", operator.mccmnc), *_without_empty(cost, missing)]
    return _with_extra(known, operator.extra, _OF_AN_OPERATOR)


def _list_extra(tariffs: Tariffs) -> _Members:
    return _with_extra([], tariffs.extra, _OF_A_LIST)


_OF_A_ZONE: Final = frozenset({"zone", "name", "api", "mass", "mms", "hlr", "call"})
_OF_AN_OPERATOR: Final = frozenset({"mccmnc", "cost"})
_OF_A_LIST: Final = frozenset({"zones", "codes", "mail"})


def _with_extra(members: _Members, extra: Extra, documented: frozenset[str]) -> _Members:
    return members + [(name, value) for name, value in extra.items() if name not in documented]


def _prices(zone: Zone, missing: Missing) -> _Members:
    prices = {"api": zone.api, "mass": zone.mass, "mms": zone.mms, "hlr": zone.hlr, "call": zone.call}
    return _without_empty([(name, _price(price, missing)) for name, price in prices.items()], missing)


def _without_empty(members: _Members, missing: Missing) -> _Members:
    return [member for member in members if member[1]] if missing == "absent" else members


def _mail(tariffs: Tariffs, missing: Missing) -> str:
    return _price(tariffs.mail, missing)


def _price(price: Decimal | None, missing: Missing) -> str:
    if price is None:
        return "-" if missing == "dash" else ""
    return f"{price:f}"


def _line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"a line break cannot be written in a text format, which quotes nothing: {text!r}")
    return text


def _escaped(text: str) -> str:
    if _NOT_IN_XML.search(text):
        raise ValueError(f"XML cannot hold a character of {text!r}")
    return text.translate(_XML_ESCAPES)


def _named(name: str) -> str:
    if not _XML_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a member in XML")
    return name


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _encode(text: str, charset: str, errors: str = "replace") -> bytes:
    try:
        return codecs.lookup(charset).encode(text, errors)[0]
    except LookupError:
        raise ValueError(f"no such charset: {charset!r}") from None


def _escape_in_json(error: UnicodeError) -> tuple[str, int]:
    # Outside of strings JSON is ASCII, so every escape is inside a string.
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error("smsc_async.json", _escape_in_json)
