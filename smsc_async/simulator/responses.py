"""The response to a request: the tariff list, the answer of another page, or a refusal, changed by a fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple, assert_never

from smsc_async.records import Format
from smsc_async.simulator.accounts import SimulatedAccount
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.rendering import render_refusal
from smsc_async.simulator.request_log import Arrival
from smsc_async.simulator.requests import ParsedRequest

_REFUSALS: Final = {
    1: "parameters error",
    2: "authorise error",
    3: "no data",
    4: "ip is blocked",
    9: "duplicate request, wait a minute",
}
_MEDIA_TYPES: Final = {Format.XML: "text/xml", Format.JSON: "application/json"}


class Response(NamedTuple):
    """Status, header fields and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def response_to(
    request: ParsedRequest,
    arrival: Arrival,
    account: SimulatedAccount | None,
    fault: Fault,
    render_list: Callable[[SimulatedAccount, Format, str], bytes],
) -> Response:
    """Return the response to a request.

    Args:
        request: The request.
        arrival: Its entry in the log, with the error code of the refusal.
        account: Its account, or ``None`` if there is no such account; then the code is not 0.
        fault: The fault in the response.
        render_list: Renders the list of an account in a format and a charset.
    """
    if arrival.code != 0 or account is None:
        description = _REFUSALS.get(arrival.code, "error")
        body = render_refusal(arrival.code, description, request.format, charset=request.charset)
    elif request.wants_tariffs:
        body = render_list(account, request.format, request.charset)
    else:
        body = _other_page(request, arrival.number, account)
    headers = {"content-type": f"{_MEDIA_TYPES.get(request.format, 'text/plain')}; charset={request.charset}"}
    body = body if fault.body is None else fault.body
    body = body[: int(len(body) * fault.keep)]
    fields = {**headers, **dict(fault.headers), "content-length": str(len(body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    return Response(fault.status, pairs, body)


def _other_page(request: ParsedRequest, number: int, account: SimulatedAccount) -> bytes:
    """Return the answer of a page other than the tariff list, in the shape that clients of the service expect."""
    phones = len([each for each in re.split(r"[,;\n]", request.parameters.get("phones", "")) if each.strip()]) or 1
    price = next((zone.api for zone in account.tariffs.zones), None) or Decimal(0)
    members: Mapping[str, str | int]
    match request.page:
        case "balance.php":
            balance = f"{account.balance:f}"
            members, plain = {"balance": balance}, balance
        case "send.php" if request.parameters.get("cost") == "1":
            members, plain = {"cost": f"{price * phones:f}", "cnt": phones}, f"{price * phones:f} ({phones} SMS)"
        case "send.php":
            members, plain = {"id": number, "cnt": phones}, f"OK - {phones} SMS, ID - {number}"
        case _:
            # The simulated service delivers nothing, so it knows no message: -3, as the service answers for an unknown one.
            members, plain = {"status": -3}, "Status = -3"
    return _written(members, plain, request).encode("ascii")


def _written(members: Mapping[str, str | int], plain: str, request: ParsedRequest) -> str:
    match request.format:
        case Format.PLAIN:
            return plain
        case Format.CSV:
            return ",".join(str(value) for value in members.values())
        case Format.XML:
            elements = "\n".join(f"<{name}>{value}</{name}>" for name, value in members.items())
            return elements if request.page == "balance.php" else f"<result>\n{elements}\n</result>"
        case Format.JSON:
            return json.dumps(members, indent=0)
        case _:
            assert_never(request.format)
