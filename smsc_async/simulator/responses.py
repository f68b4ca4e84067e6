"""What an answer is made of: the list or a refusal, as a fault leaves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, assert_never

import attrs

from smsc_async.records import Format
from smsc_async.simulator.faults import Fault
from smsc_async.simulator.rendering import render_refusal
from smsc_async.simulator.requests import ParsedRequest

__all__ = ["Response", "response_to"]

_REFUSALS: Final = {
    1: "parameters error",
    2: "authorise error",
    3: "no data",
    4: "ip is blocked",
    9: "duplicate request, wait a minute",
}


@attrs.frozen
class Response:
    """Status, header fields and body, as they go out."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def response_to(
    request: ParsedRequest, code: int, fault: Fault | None, tariffs: Callable[[Format, str], bytes]
) -> Response:
    """Return the answer to a request.

    Args:
        request: The request.
        code: The error to refuse it with; 0 for none.
        fault: What goes wrong with the answer, or ``None``.
        tariffs: What renders the list in a format and a charset.
    """
    if code != 0:
        body = render_refusal(code, _REFUSALS.get(code, "error"), request.format, charset=request.charset)
    elif request.wants_tariffs:
        body = tariffs(request.format, request.charset)
    else:
        body = _ok(request.format)
    headers = {"content-type": f"{_media_type(request.format)}; charset={request.charset}"}
    if fault is None:
        return _respond(200, headers, body)
    body = body if fault.body is None else fault.body
    return _respond(fault.status, headers | dict(fault.headers), body[: int(len(body) * fault.keep)])


def _respond(status: int, headers: dict[str, str], body: bytes) -> Response:
    all_headers = {**headers, "content-length": str(len(body))}
    return Response(
        status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers.items()], body
    )


def _media_type(format: Format) -> str:  # noqa: A002  # the word of the request
    match format:
        case Format.PLAIN | Format.CSV:
            return "text/plain"
        case Format.XML:
            return "text/xml"
        case Format.JSON:
            return "application/json"
        case _:
            assert_never(format)


def _ok(format: Format) -> bytes:  # noqa: A002  # the word of the request
    match format:
        case Format.PLAIN | Format.CSV:
            return b"OK"
        case Format.XML:
            return b"<result>OK</result>"
        case Format.JSON:
            return b'{"result": "OK"}'
        case _:
            assert_never(format)
