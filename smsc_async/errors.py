"""Every error that the library raises, with its data.

    SmscError
     ├─ ApiError                 the service refused: a code and its text
     │   ├─ ParameterError         1
     │   ├─ AuthenticationError    2
     │   ├─ AddressBlocked         4
     │   └─ TooManyRequests        9
     ├─ DecodeError              an answer came, and it is not a tariff list
     │   └─ IncompleteReply        it stops before its end
     ├─ TransportError           no answer came
     │   ├─ DeadlineExceeded       not within the time that the call was given
     │   └─ TlsError               the server could not prove who it is
     ├─ QuotaExhausted           not sent: its permit would come after the deadline
     ├─ BreakerOpen              not sent: the same request was refused a short while ago
     └─ StoreError               not sent: the shared store does not answer; or a history cannot be used

Misuse is a ``ValueError`` or a ``TypeError``.

Invariants: fields are positional and live in the instance's dict, so that every error survives ``pickle`` and ``copy``
with its notes and with what was set later; no field holds a credential, an URL with one, or an object of the HTTP library.
"""

from __future__ import annotations

from typing import ClassVar

import attrs

__all__ = [
    "AddressBlocked",
    "ApiError",
    "AuthenticationError",
    "BreakerOpen",
    "DeadlineExceeded",
    "DecodeError",
    "IncompleteReply",
    "ParameterError",
    "QuotaExhausted",
    "SmscError",
    "StoreError",
    "TlsError",
    "TooManyRequests",
    "TransportError",
    "api_error",
]


class SmscError(Exception):
    """What every error of this library is.

    Attributes:
        retryable: Whether the same call can succeed later with nothing changed on the caller's side.
        retry_after: Seconds after which a new try makes sense, or ``None`` where nobody knows.
        may_have_counted: Whether the service may have counted a request for this call: it was, or may have been, sent.

    Example:
        >>> from smsc_async import QuotaExhausted, SmscError
        >>> error: SmscError = QuotaExhausted(42.0)
        >>> error.retryable, error.retry_after, error.may_have_counted
        (True, 42.0, False)
    """

    retryable: bool = False
    retry_after: float | None = None
    may_have_counted: bool = False


@attrs.define(eq=False, slots=False)
class ApiError(SmscError):
    """The service answered with a refusal.

    Codes without a class of their own come as plain ``ApiError``: the list of codes is the provider's and may grow.

    Attributes:
        code: The number that the service gave.
        description: Its text, as it came (at most 200 characters); empty where the format has none.
        retry_after: Seconds, or ``None``.

    Example:
        >>> from smsc_async import ApiError, decode
        >>> try:
        ...     decode(b"ERROR = 3 (no data)")
        ... except ApiError as error:
        ...     print(error.code, error.description)
        3 no data
    """

    may_have_counted = True
    advice: ClassVar[str] = "look the code up in the provider's documentation"

    code: int
    description: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        said = f" ({self.description})" if self.description else ""
        return f"the service refused with error {self.code}{said}: {self.advice}"


@attrs.define(eq=False, slots=False)
class ParameterError(ApiError):
    """Error 1: the service did not understand the parameters of the request.

    Example:
        >>> from smsc_async import ParameterError, decode
        >>> try:
        ...     decode(b"ERROR = 1 (parameters error)")
        ... except ParameterError as error:
        ...     print(error.code, error.retryable, error.retry_after)
        1 False None
    """

    advice: ClassVar[str] = "check the login for stray characters and base_url for the right service"


@attrs.define(eq=False, slots=False)
class AuthenticationError(ApiError):
    """Error 2: wrong login or password, or this address is not on the account's list of allowed addresses.

    Never retried: five of them within 30 minutes make the service block the address.

    Example:
        >>> from smsc_async import AuthenticationError, decode
        >>> try:
        ...     decode(b"ERROR = 2 (authorise error)")
        ... except AuthenticationError as error:
        ...     print(error.code, error.retryable, error.retry_after)
        2 False None
    """

    advice: ClassVar[str] = (
        "check login and password, and the account's list of allowed addresses; it is not tried again by itself"
    )


@attrs.define(eq=False, slots=False)
class AddressBlocked(ApiError):
    """Error 4: the service has blocked the address that the request came from for a while.

    Never retried: a blocked address that goes on asking stays blocked.

    Example:
        >>> from smsc_async import AddressBlocked, decode
        >>> try:
        ...     decode(b"ERROR = 4 (ip is blocked)")
        ... except AddressBlocked as error:
        ...     print(error.code, error.retryable, error.retry_after)
        4 False None
    """

    advice: ClassVar[str] = "send nothing from this address until the block ends (the provider says 30 minutes)"


@attrs.define(eq=False, slots=False)
class TooManyRequests(ApiError):
    """Error 9: more than three identical requests in a minute, or fifteen at once, of one login.

    This library does not cause it: when it comes, something else uses the same login, or another worker does so
    without a shared store.

    Example:
        >>> from smsc_async import TooManyRequests, decode
        >>> try:
        ...     decode(b"ERROR = 9 (duplicate request, wait a minute)")
        ... except TooManyRequests as error:
        ...     print(error.code, error.retryable, error.retry_after)
        9 True 60.0
    """

    retryable = True
    advice: ClassVar[str] = (
        "something else uses this login; let all its workers share one store, and wait a minute before the next try"
    )

    retry_after: float | None = 60.0


_BY_CODE: dict[int, type[ApiError]] = {
    1: ParameterError,
    2: AuthenticationError,
    4: AddressBlocked,
    9: TooManyRequests,
}


def api_error(code: int, description: str = "") -> ApiError:
    """Return the error for a refusal of the service, of the class that its code has."""
    return _BY_CODE.get(code, ApiError)(code, description)


@attrs.define(eq=False, slots=False)
class DecodeError(SmscError):
    """The answer is not a tariff list: nothing of it is handed out.

    Attributes:
        message: What is wrong.
        format: The format that was read, such as ``"JSON"``, or ``None`` if the answer is not of this service.
        position: Where, such as ``"line 3, api"`` or ``"zones[2].api"``; empty where the whole answer is meant.
        excerpt: The place itself, shortened and escaped; empty where there is nothing to show.
        body: The reply, redacted and bounded: its first 64 KiB. Not in the text of the error; add it to a report.

    Example:
        >>> from smsc_async import DecodeError, decode
        >>> try:
        ...     decode(b"<html><body>502 Bad Gateway</body></html>")
        ... except DecodeError as error:
        ...     print(error.format)
        None
    """

    may_have_counted = True

    message: str
    format: str | None = None
    position: str = ""
    excerpt: str = ""
    body: bytes = attrs.field(default=b"", repr=False)

    def __str__(self) -> str:
        read_as = f"{self.format} answer" if self.format else "answer"
        at = f" at {self.position}" if self.position else ""
        near = f", near {self.excerpt}" if self.excerpt else ""
        return f"{read_as}{at}: {self.message}{near}"


@attrs.define(eq=False, slots=False)
class IncompleteReply(DecodeError):
    """The answer stops before its end: a connection was cut, or the service sent less than a whole list.

    Example:
        >>> from smsc_async import IncompleteReply, decode
        >>> try:
        ...     decode(b'{"zones": [{"zone": "1", "api": "2.50"}')
        ... except IncompleteReply as error:
        ...     print(error.format, error.retryable, error.may_have_counted)
        JSON True True
    """

    retryable = True


@attrs.define(eq=False, slots=False)
class TransportError(SmscError):
    """No answer came: the connection failed, was cut, or carried something that is not an answer.

    Attributes:
        message: What happened.
        may_have_counted: ``False`` only where no byte of the request can have left.
        retryable: Whether another try can help.
        retry_after: Seconds that the server asked for, or ``None``.
        status: The HTTP status where one came, else ``None``.

    Example:
        >>> import asyncio
        >>> from smsc_async import Account, Client, MemoryStore, TransportError
        >>> async def main() -> None:
        ...     # Nobody listens there.
        ...     async with Client(
        ...         Account("alex", "123"), base_url="http://127.0.0.1:9/sys/", store=MemoryStore(), retries=0
        ...     ) as client:
        ...         try:
        ...             await client.tariffs()
        ...         except TransportError as error:
        ...             print(error.retryable, error.may_have_counted, error.status)
        >>> asyncio.run(main())
        True False None
    """

    message: str
    may_have_counted: bool = True
    retryable: bool = True
    retry_after: float | None = None
    status: int | None = None

    def __str__(self) -> str:
        return self.message


@attrs.define(eq=False, slots=False)
class DeadlineExceeded(TransportError):
    """The call did not end within the time that it was given.

    Example:
        >>> import asyncio
        >>> from smsc_async import DeadlineExceeded
        >>> from smsc_async.testing import Fault, SmscServer
        >>> async def main(server: SmscServer) -> None:
        ...     server.fail(Fault.hang())
        ...     async with server.client(deadline=0.1) as client:
        ...         try:
        ...             await client.tariffs()
        ...         except DeadlineExceeded as error:
        ...             print(error.retryable)
        >>> with SmscServer() as server:
        ...     asyncio.run(main(server))
        True
    """


@attrs.define(eq=False, slots=False)
class TlsError(TransportError):
    """The server could not prove who it is: untrusted, expired or foreign certificate, or no TLS at all.

    Nothing was sent. Never retried, and never tried at another host.

    Example:
        >>> from smsc_async import TlsError, TransportError
        >>> error: TransportError = TlsError("smsc.example could not prove who it is: nothing was sent")
        >>> error.retryable, error.may_have_counted
        (False, False)
    """

    # The whole row again, so that the positions are those of the parent.
    may_have_counted: bool = False
    retryable: bool = False
    retry_after: float | None = None
    status: int | None = None


@attrs.define(eq=False, slots=False)
class QuotaExhausted(SmscError):
    """Nothing was sent: the next permit of this login comes later than the call may take.

    Attributes:
        retry_after: Seconds until a permit can come, counted from the moment of the error.

    Example:
        >>> from smsc_async import QuotaExhausted
        >>> print(QuotaExhausted(42.0))
        no permit within the deadline: the login has used its requests; the next is free in 42.0 s
    """

    retryable = True

    retry_after: float  # pyright: ignore[reportIncompatibleVariableOverride]  # always known here

    def __str__(self) -> str:
        return (
            "no permit within the deadline: the login has used its requests; "
            f"the next is free in {self.retry_after:.1f} s"
        )


@attrs.define(eq=False, slots=False)
class BreakerOpen(SmscError):
    """Nothing was sent: this request was refused a short while ago and would be again.

    Attributes:
        reason: Which refusal it was, and what to do.
        retry_after: Seconds until the next request is let through.
        code: The error code that is remembered: 2 or 4; ``None`` where it was no single refusal.

    Example:
        >>> from smsc_async import BreakerOpen
        >>> print(BreakerOpen("this password was refused", 900.0))
        not sent: this password was refused; closed for another 900 s
    """

    retryable = True

    reason: str
    retry_after: float  # pyright: ignore[reportIncompatibleVariableOverride]  # always known here
    code: int | None = None

    def __str__(self) -> str:
        return f"not sent: {self.reason}; closed for another {self.retry_after:.0f} s"


@attrs.define(eq=False, slots=False)
class StoreError(SmscError):
    """Nothing was sent: the store that keeps the quota does not answer, and without it no permit is given.

    From a ``History``: its file cannot be used.

    Attributes:
        message: What failed, and what to do.
        store: Which store: a path, or host and port; never a credential.

    Example:
        >>> from smsc_async import StoreError
        >>> print(StoreError("it does not answer", "redis.example:6379"))
        redis.example:6379: it does not answer
    """

    retryable = True

    message: str
    store: str = ""

    def __str__(self) -> str:
        return f"{self.store}: {self.message}" if self.store else self.message
