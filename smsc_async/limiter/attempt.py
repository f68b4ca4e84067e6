"""What is known about one request: its permit, and how far it came; and about the fetch that it belongs to.

One record replaces all others on the path of a call. The transport side writes facts into it, and everything else reads
them: the token bucket to settle the permit, the error texts, the events, the counters.

Invariant: ``readings`` is the library's own fact. The login is in the body alone, so a request whose body was never read
cannot have reached the service under that login.
"""

from __future__ import annotations

from typing import Final

import attrs

from smsc_async.accounts import Account
from smsc_async.errors import AddressBlocked, ApiError, AuthenticationError, DecodeError, SmscError
from smsc_async.fetch.lockout import Place, Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota
from smsc_async.limiter.waiter import Waiter
from smsc_async.protocol import Reply
from smsc_async.records import Tariffs

# Seconds: an exchange of the client ends by then, whatever the deadline of its caller.
LONGEST_EXCHANGE: Final = 30.0


@attrs.define(eq=False, repr=False)
class FetchLease:
    """The right to fetch a list for all users of a store, until the release or the end of the lease.

    Attributes:
        endpoint: The URL of the request.
        account: The account.
        lease: The store's identifier of the lease; ``None`` if no other process can wait for the list.
        permit: The permit of the first request, if the store has acquired it together with the lease and no request has
            taken it.
        reply: The reply that contained the list, or ``None`` before it is there.
        tariffs: The list, or ``None`` before it is there.
        is_released: Whether the store shares the list, or another process may fetch it.
        renewal: The waiter of the task that renews the lease.
    """

    endpoint: str
    account: Account
    lease: object = None
    permit: Permit | None = None
    reply: Reply | None = None
    tariffs: Tariffs | None = None
    is_released: bool = False
    renewal: Waiter | None = None

    def take_permit(self) -> Permit | None:
        """Return the permit that the store acquired together with the lease, once."""
        permit, self.permit = self.permit, None
        return permit


@attrs.define(eq=False, repr=False)
class Attempt:
    """One request and what became of it.

    Attributes:
        login: The login under which the service counts the request.
        quota: The rule.
        credentials: The credentials, or ``None`` for a request that the lockout rules do not guard.
        token: Whether it is a tariff request, which needs a token beside its slot.
        lease: The lease of the fetch, or ``None`` for a request of a user's own.
        number: 0 for the first attempt of a fetch, then 1, 2, …
        permits: The permit, and one more for the second and each later reading; empty while the request waits for a permit.
        readings: How often the transport has begun to read the body.
        head_seen_at: When the head of the reply was seen, by the limiter's clock, or ``None``.
        is_complete: Whether the last byte of the reply was read.
        outcome: The list or the error in which the request ended, or ``None`` before its end.
    """

    login: str
    quota: Quota
    credentials: Credentials | None = None
    token: bool = True
    lease: FetchLease | None = None
    number: int = 0
    permits: list[Permit] = attrs.field(factory=list[Permit])
    readings: int = 0
    head_seen_at: float | None = None
    is_complete: bool = False
    outcome: Tariffs | SmscError | None = None

    @property
    def may_have_counted(self) -> bool:
        """Whether the service may have counted the request."""
        return self.readings > 0

    @property
    def place(self) -> Place | None:
        """The place that the lockout rules gave to the request, or ``None``."""
        return self.permits[0].place if self.permits else None

    @property
    def waited(self) -> float:
        """Seconds that the request waited for its permit."""
        return self.permits[0].waited if self.permits else 0.0

    @property
    def completion(self) -> Completion:
        """How the request ended, as the token bucket counts it."""
        if self.is_complete:
            return Completion.COMPLETE
        return Completion.INCOMPLETE if self.may_have_counted else Completion.NOT_SENT

    @property
    def verdict(self) -> Verdict:
        """What the exchange showed about the credentials."""
        match self.outcome:
            case Tariffs():
                return Verdict.LIST
            case AuthenticationError():
                return Verdict.REFUSED
            case AddressBlocked():
                return Verdict.BLOCKED
            case ApiError() | DecodeError(format=str()):
                return Verdict.OTHER
            case _:
                return Verdict.UNANSWERED if self.may_have_counted else Verdict.NOT_SENT
