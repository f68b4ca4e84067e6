"""From the bytes of a reply to a complete, checked tariff list, or to an exception.

    bytes → text → json_format, xml_format, plain_format, csv_format → assemble → Tariffs

``text`` finds the text, its format and its limits; each ``…_format`` module knows one format and hands columns of text to
``assemble``, which knows what a list must be; ``members`` has the documented names, ``prices`` the grammar of a price,
``refusals`` the errors of the service. To read it: ``decode`` below, one ``…_format`` module, ``assemble``.

Invariants: pure; nothing but ``SmscError`` comes out, whatever the bytes are; every error is without a context, and its
excerpt has at most 60 characters of the answer, escaped. ``_read`` adds the format to an error. An error whose format is
``None`` means that the answer is not of this service, unless it is an ``IncompleteReply``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Final

from smsc_async.decoder.text import NAMES, excerpt, recognise, refuse_size, to_text
from smsc_async.errors import DecodeError, IncompleteReply
from smsc_async.records import Format, Tariffs

# Enough of an answer to report it, and too little to fill a disk.
_BODY_BYTES: Final = 64 * 1024


def decode(body: bytes, *, format: Format | None = None, charset: str | None = None) -> Tariffs:  # noqa: A002  # the wire's word
    r"""Return the tariff list in the body of an answer.

    A refusal of the service raises its ``ApiError`` in any of the four formats. The list is whole and checked, or there
    is none: prices are ``Decimal`` with the digits that were sent, in the currency of the account, and ``None`` if they
    are absent, empty or ``-``. Only what makes a price ambiguous is refused. A row that is repeated without a difference
    is one row. Names are without the spaces around them and hold any other characters, so escape them before you show
    them; a lone surrogate, which no encoder accepts, becomes its escape, such as ``\ud800``, and so is a character
    that XML forbids. Text that is valid UTF-8 is read as UTF-8, whatever ``charset`` says.

    In the two text formats the last line alone shows that the list is whole, and a cut within its digits cannot be
    seen. An answer with more lines, members or elements than 30,000 zones have, or with deeper nesting than any list, is
    refused before it is parsed. 2,000 zones take 5 to 9 ms, so a web app need not leave its loop.

    Args:
        body: The bytes as they came, without transfer or content encoding.
        format: The requested format: a list in another format is an error. ``None`` accepts each format.
        charset: The charset that the reply declares, or ``None``; unknown names are ignored. Other text is
            read in that charset, or in windows-1251.

    Returns:
        The list, with at least one zone; ``codes`` is empty if the account has no individual tariffs.

    Raises:
        ApiError: The service refused: ``ParameterError``, ``AuthenticationError``, ``AddressBlocked``,
            ``TooManyRequests``, or ``ApiError`` itself for another code.
        IncompleteReply: The answer is empty, has no zone or no e-mail price, or stops before its end.
        DecodeError: It is not a tariff list, or a price in it is ambiguous; ``position`` names the place, and ``body``
            has the first 64 KiB. If ``format`` is ``None``, the answer is not of this service.
        TypeError: ``body`` is not bytes.
        ValueError: There is no such format.

    Example:
        >>> from smsc_async import decode
        >>> tariffs = decode(b"zone = 1, name = Russia, api = 2.50, mms = -, hlr = 0.30\nmail = 0.10\n")
        >>> tariffs.zone("1").api, tariffs.zone("1").mms, tariffs.mail
        (Decimal('2.50'), None, Decimal('0.10'))
    """
    if not isinstance(body, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a type checker
        raise TypeError(f"body must be the bytes of the answer, such as response.content, not {type(body).__name__}")
    try:
        return _decode(body, None if format is None else Format(format), charset)
    except DecodeError as error:
        error.body = bytes(body[:_BODY_BYTES])
        raise


def _decode(body: bytes, expected: Format | None, charset: str | None) -> Tariffs:
    text = to_text(body, charset)
    if not text or text.isspace():
        raise IncompleteReply("an empty answer", None if expected is None else NAMES[expected])
    actual = recognise(text)
    result = None if actual is None else _read(text, actual)
    if actual is None or result is None:
        raise DecodeError("not an answer of this service; check base_url", excerpt=excerpt(text))
    if expected is not None and actual is not expected:
        raise DecodeError(
            f"looks like {NAMES[actual]}, which is not the requested format", NAMES[expected], "", excerpt(text)
        )
    if isinstance(result, DecodeError):
        raise result
    return result


def _read(text: str, actual: Format) -> Tariffs | DecodeError | None:
    """Return the list in an answer of a format, why there is none, or ``None`` if the answer is not of this service."""
    # Imported when the first answer of their format is read: most programs have one format, and four take a third of the
    # import of the package.
    read: Callable[[str], Tariffs | None] = import_module(f"{__name__}.{actual.name.lower()}_format").read
    try:
        refuse_size(text)
        return read(text)
    except DecodeError as error:
        error.format = NAMES[actual]
        return error
