"""Every error that the library raises, with its data.

    SmscError
     ├─ ApiError                    the service refused: a code and its text
     │   ├─ ParameterError            1
     │   ├─ AuthenticationError       2
     │   ├─ AddressBlocked            4
     │   └─ TooManyRequests           9
     ├─ DecodeError                 a reply came, and it is not a complete tariff list
     │   └─ IncompleteReply           the reply stops before its end
     ├─ DeadlineExceeded            the time of the call is over
     ├─ TransportError              no reply came
     │   └─ TlsError                  the server could not prove its identity
     ├─ NotSent                     the library refused locally; nothing was sent
     │   ├─ QuotaExhausted            the requests of this login are used up
     │   ├─ StoreNotReady             the store is new, was restarted or emptied (also a StoreError)
     │   ├─ CredentialsRefused        the service refused these credentials before (also an AuthenticationError)
     │   ├─ TrialsExhausted           too many untested credentials right now
     │   ├─ AddressPaused             the service blocked this address (also an AddressBlocked)
     │   └─ CircuitOpen               the service does not respond
     └─ StoreError                  the store failed, or a history cannot be used

Misuse is a ``ValueError`` or a ``TypeError``. A bug in user code (a transport, a callback, an account source) surfaces as
the user's own exception.

``retryable``, ``retry_after`` and ``may_have_counted`` follow from the cause. This module is the one place that decides
them: as class attributes where a class has one cause, in ``TRANSPORT_CAUSES`` where it has several.

Invariants: fields are positional and live in the instance's dict, so every error survives ``pickle`` and ``copy`` with its
notes and later attributes. No field holds a credential, a URL that contains one, or an object of the HTTP library.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, TypeAlias

import attrs

from smsc_async.display import escape_for_display

ADDRESS_PAUSE: Final = 1800.0
"""Seconds for which the service blocks an address (spec/README.md, "Seen elsewhere", row 10)."""


class SmscError(Exception):
    """The base class of every error of this library.

    Attributes:
        retryable: Whether the same call can succeed later with nothing changed on the caller's side.
        retry_after: Seconds after which a new try makes sense, or ``None`` if that is unknown.
        may_have_counted: Whether the service may have counted a request for this call: the request was, or may have
            been, sent.

    Example:
        >>> from smsc_async import QuotaExhausted, SmscError
        >>> error: SmscError = QuotaExhausted(42.0)
        >>> error.retryable, error.retry_after, error.may_have_counted
        (True, 42.0, False)
    """

    retryable: bool = False
    retry_after: float | None = None
    may_have_counted: bool = False

    def __repr__(self) -> str:
        # One for all classes: attrs would compile one for each of them whenever the package is imported.
        kind = type(self)
        if not attrs.has(kind):
            return super().__repr__()
        values = [f"{each.name}={getattr(self, each.name)!r}" for each in attrs.fields(kind) if each.repr]
        return f"{kind.__qualname__}({', '.join(values)})"


@attrs.define(eq=False, slots=False, repr=False)
class ApiError(SmscError):
    """The service refused the request.

    Codes without a class of their own are plain ``ApiError``: the provider owns the list of codes, and it may grow.

    Attributes:
        code: The number that the service sent.
        description: Its text as it was sent (at most 200 characters), or empty if the format has none.
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
        text = f" ({escape_for_display(self.description)})" if self.description else ""
        return f"the service refused with error {self.code}{text}: {self.advice}"


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
        "check login and password, and the account's list of allowed addresses; the client does not retry by itself"
    )


@attrs.define(eq=False, slots=False, repr=False)
class AddressBlocked(ApiError):
    """Error 4: the service blocks the address of the request for a while.

    Not retried by the client: a blocked address that keeps sending stays blocked.

    Attributes:
        retry_after: Seconds until the block ends, by the provider's documentation.

    Example:
        >>> from smsc_async import AddressBlocked, decode
        >>> try:
        ...     decode(b"ERROR = 4 (ip is blocked)")
        ... except AddressBlocked as error:
        ...     print(error.code, error.retryable, error.retry_after)
        4 True 1800.0
    """

    retryable = True
    advice: ClassVar[str] = "send nothing from this address until the block ends (the provider says 30 minutes)"

    retry_after: float | None = ADDRESS_PAUSE


@attrs.define(eq=False, slots=False, repr=False)
class TooManyRequests(ApiError):
    """Error 9: more than three identical requests in a minute, or fifteen at once, of one login.

    This library does not cause it. The cause is another program that uses the same login, or another worker without
    a shared store.

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
        "another program uses this login; let all its workers share one store, and wait a minute before the next try"
    )

    retry_after: float | None = 60.0


_BY_CODE: dict[int, type[ApiError]] = {
    1: ParameterError,
    2: AuthenticationError,
    4: AddressBlocked,
    9: TooManyRequests,
}


def api_error(code: int, description: str = "") -> ApiError:
    """Return the error for a refusal of the service, with the class of its code."""
    return _BY_CODE.get(code, ApiError)(code, description)


@attrs.define(eq=False, slots=False, repr=False)
class DecodeError(SmscError):
    """The reply is not a complete tariff list: no part of it is returned.

    Attributes:
        message: What is wrong.
        format: The format that the reply has, such as ``"JSON"``, or ``None`` if the decoder recognises none.
        position: Where, such as ``"line 3, api"`` or ``"zones[2].api"``; empty if the whole reply is meant.
        excerpt: The place itself, shortened and escaped; empty if there is nothing to show.
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
        subject = f"{self.format} answer" if self.format else "answer"
        at = f" at {self.position}" if self.position else ""
        near = f", near {self.excerpt}" if self.excerpt else ""
        return f"{subject}{at}: {self.message}{near}"


class IncompleteReply(DecodeError):
    """The reply stops before its end: the connection was cut, or the service sent less than a complete list.

    Example:
        >>> from smsc_async import IncompleteReply, decode
        >>> try:
        ...     decode(b'{"zones": [{"zone": "1", "api": "2.50"}')
        ... except IncompleteReply as error:
        ...     print(error.format, error.retryable, error.may_have_counted)
        JSON True True
    """

    retryable = True


@attrs.define(eq=False, slots=False, repr=False)
class DeadlineExceeded(SmscError):
    """The call did not end within its deadline. A request that was sent continues to its end in the background.

    Attributes:
        message: What the call was waiting for.
        may_have_counted: Whether a request was, or may have been, sent.

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

    retryable = True

    message: str
    may_have_counted: bool = True

    def __str__(self) -> str:
        return self.message


@attrs.define(eq=False, slots=False, repr=False)
class TransportError(SmscError):
    """No reply came: the connection failed, was cut, or carried something that is not a reply of the service.

    Attributes:
        message: What happened.
        may_have_counted: ``False`` only if the request was not sent.
        retryable: Whether another try can help.
        retry_after: Seconds that the server named, or ``None``.
        status: The HTTP status if there was one, else ``None``.
        excerpt: The first words of the page that came with the status, escaped; empty if there are none.

    Example:
        >>> import asyncio
        >>> from smsc_async import Account, Client, MemoryStore, TransportError
        >>> async def main() -> None:
        ...     # No server listens there.
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
    excerpt: str = ""

    def __str__(self) -> str:
        return f"{self.message}: {self.excerpt}" if self.excerpt else self.message


@attrs.define(eq=False, slots=False, repr=False)
class TlsError(TransportError):
    """The server could not prove its identity: untrusted, expired or foreign certificate, or no TLS at all.

    Nothing was sent. The client does not retry, and does not turn to the reserve host.

    Example:
        >>> from smsc_async import TlsError, TransportError
        >>> error: TransportError = TlsError("smsc.example could not prove its identity: nothing was sent")
        >>> error.retryable, error.may_have_counted
        (False, False)
    """

    # All fields again, so that their positions are those of the parent.
    may_have_counted: bool = False
    retryable: bool = False
    retry_after: float | None = None
    status: int | None = None
    excerpt: str = ""


TransportCause: TypeAlias = Literal[
    "no connection", "proxy refused", "no reply", "reply cut", "redirect", "status", "overloaded", "closed"
]

TRANSPORT_CAUSES: Final[dict[TransportCause, tuple[bool, bool]]] = {
    "no connection": (True, False),
    "proxy refused": (True, False),
    "no reply": (True, True),
    "reply cut": (True, True),
    "redirect": (False, True),
    "status": (False, True),
    "overloaded": (True, True),
    "closed": (True, True),
}
"""For each cause of a ``TransportError``: ``retryable`` and ``may_have_counted``. The page "Errors" explains them."""


def transport_error(
    cause: TransportCause,
    message: str,
    *,
    retry_after: float | None = None,
    status: int | None = None,
    excerpt: str = "",
) -> TransportError:
    """Return the ``TransportError`` for a cause, with the flags of that cause."""
    retryable, may_have_counted = TRANSPORT_CAUSES[cause]
    return TransportError(message, may_have_counted, retryable, retry_after, status, excerpt)


class NotSent(SmscError):
    """The library refused the request locally, because it is known to fail or to break a limit. Nothing was sent.

    Example:
        >>> from smsc_async import NotSent, QuotaExhausted
        >>> isinstance(QuotaExhausted(42.0), NotSent)
        True
    """

    may_have_counted = False


@attrs.define(eq=False, slots=False, repr=False)
class QuotaExhausted(NotSent):
    """The requests of this login are used up, and the next permit comes later than the deadline of the call.

    Attributes:
        retry_after: Seconds until a permit can come, counted from the moment of the error.

    Example:
        >>> from smsc_async import QuotaExhausted
        >>> print(QuotaExhausted(42.0))
        not sent: this login has used its requests; the next permit is free in 42.0 s
    """

    retryable = True

    retry_after: float  # pyright: ignore[reportIncompatibleVariableOverride]  # always known here

    def __str__(self) -> str:
        return f"not sent: this login has used its requests; the next permit is free in {self.retry_after:.1f} s"


@attrs.define(eq=False, slots=False, repr=False)
class CredentialsRefused(NotSent, AuthenticationError):
    """The service refused these credentials before (error 2), so the client does not send them again for a while.

    Example:
        >>> from smsc_async import AuthenticationError, CredentialsRefused
        >>> isinstance(CredentialsRefused(), AuthenticationError), CredentialsRefused().retryable
        (True, False)
    """

    code: int = 2
    description: str = ""
    retry_after: float | None = None

    def __str__(self) -> str:
        return (
            "not sent: the service refused these credentials before (error 2); correct login or password, or the "
            "account's list of allowed addresses, then call reset_lockouts(account) or run smsc-async accounts check --again"
        )


@attrs.define(eq=False, slots=False, repr=False)
class TrialsExhausted(NotSent):
    """Too many credentials that are not known to work are being tried, or were refused, at this moment.

    The service blocks an address at its fifth authorization error in 30 minutes, so the client limits the requests
    that may cause one. The credentials themselves may be right.

    Attributes:
        retry_after: Seconds after which a place can be free.
        reason: What takes the places.

    Example:
        >>> from smsc_async import TrialsExhausted
        >>> error = TrialsExhausted(5.0)
        >>> error.retryable, error.retry_after
        (True, 5.0)
    """

    retryable = True

    retry_after: float  # pyright: ignore[reportIncompatibleVariableOverride]  # always known here
    reason: str = "all places for credentials that are not known to work are taken"

    def __str__(self) -> str:
        return (
            f"not sent: {self.reason}, and the service blocks this address at the fifth authorization error; "
            f"try again in {self.retry_after:.0f} s"
        )


@attrs.define(eq=False, slots=False, repr=False)
class AddressPaused(NotSent, AddressBlocked):
    """The service has blocked this address (error 4), so the client sends nothing until the block ends.

    Attributes:
        retry_after: Seconds until requests are sent again.

    Example:
        >>> from smsc_async import AddressBlocked, AddressPaused
        >>> error = AddressPaused(4, "", 900.0)
        >>> isinstance(error, AddressBlocked), error.retryable, error.may_have_counted
        (True, True, False)
    """

    code: int = 4
    description: str = ""
    retry_after: float | None = ADDRESS_PAUSE

    def __str__(self) -> str:
        return (
            "not sent: the service has blocked this address (error 4); requests are sent again in "
            f"{self.retry_after or 0.0:.0f} s, or after reset_lockouts()"
        )


@attrs.define(eq=False, slots=False, repr=False)
class CircuitOpen(NotSent):
    """The service did not respond to the last requests, so the client sends only a probe from time to time.

    Attributes:
        retry_after: Seconds until the next probe.

    Example:
        >>> from smsc_async import CircuitOpen
        >>> print(CircuitOpen(8.0))
        not sent: the service did not respond to the last requests; the next probe is sent in 8 s
    """

    retryable = True

    retry_after: float  # pyright: ignore[reportIncompatibleVariableOverride]  # always known here

    def __str__(self) -> str:
        return (
            "not sent: the service did not respond to the last requests; "
            f"the next probe is sent in {self.retry_after:.0f} s"
        )


@attrs.define(eq=False, slots=False, repr=False)
class StoreError(SmscError):
    """The store that holds the quota failed, and without it no permit is given. Nothing was sent.

    From a ``History``: its file cannot be used.

    Attributes:
        message: What failed, and what to do.
        store: Which store: a path, or host and port; never a credential.
        retryable: Whether waiting can help: ``False`` for a wrong configuration, a refused password or a file that needs a repair.

    Example:
        >>> from smsc_async import StoreError
        >>> print(StoreError("it does not answer", "redis.example:6379"))
        redis.example:6379: it does not answer
    """

    message: str
    store: str = ""
    retryable: bool = True

    def __str__(self) -> str:
        return f"{self.store}: {self.message}" if self.store else self.message


@attrs.define(eq=False, slots=False, repr=False)
class StoreNotReady(NotSent, StoreError):
    """The store is new, was restarted or was emptied: it may have forgotten requests that the service still counts.

    Attributes:
        message: What happened to the store.
        store: Which store.
        retry_after: Seconds until the lost state cannot matter any more.

    Example:
        >>> from smsc_async import StoreError, StoreNotReady
        >>> error = StoreNotReady("the server was restarted", "redis.example:6379", retry_after=40.0)
        >>> isinstance(error, StoreError), error.retryable, error.retry_after
        (True, True, 40.0)
    """

    retry_after: float | None = None

    def __str__(self) -> str:
        wait = "" if self.retry_after is None else f"; requests are sent again in {self.retry_after:.0f} s"
        return f"{StoreError.__str__(self)}{wait}"
