"""What is known about one request: its permit, and how far it came.

One record replaces all others on the path of a call. The transport side writes facts into it, and everything else reads
them: the token bucket to settle the permit, the error texts, the events, the counters.

Invariant: ``readings`` is the library's own fact. The login is in the body alone, so a request whose body was never read
cannot have reached the service under that login.
"""

from __future__ import annotations

import attrs

from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.credentials import Credentials
from smsc_async.limiter.quota import Quota

__all__ = ["Attempt"]


@attrs.define(eq=False)
class Attempt:
    """One request and what became of it.

    Attributes:
        login: The login under which the service counts the request.
        quota: The rule.
        credentials: The credentials, or ``None`` for a request that the lockout rules do not guard.
        token: Whether it is a tariff request, which needs a token beside its slot.
        number: 0 for the first attempt of a fetch, then 1, 2, …
        permit: The permit, or ``None`` while the request waits for one.
        readings: How often the transport has begun to read the body.
        head_seen_at: When the head of the reply was seen, by the limiter's clock, or ``None``.
        is_complete: Whether the last byte of the reply was read.
        resends: The permits of second and later readings.
        reply_verdict: What the reply showed about the credentials, or ``None`` if there was no readable reply.
    """

    login: str
    quota: Quota
    credentials: Credentials | None = None
    token: bool = True
    number: int = 0
    permit: Permit | None = None
    readings: int = 0
    head_seen_at: float | None = None
    is_complete: bool = False
    resends: list[Permit] = attrs.field(factory=list[Permit])
    reply_verdict: Verdict | None = None

    @property
    def may_have_counted(self) -> bool:
        """Whether the service may have counted the request."""
        return self.readings > 0

    @property
    def waited(self) -> float:
        """Seconds that the request waited for its permit."""
        return 0.0 if self.permit is None else self.permit.waited

    @property
    def completion(self) -> Completion:
        """How the request ended, as the token bucket counts it."""
        if self.is_complete:
            return Completion.COMPLETE
        return Completion.INCOMPLETE if self.may_have_counted else Completion.NOT_SENT

    @property
    def verdict(self) -> Verdict:
        """What the exchange showed about the credentials."""
        if self.reply_verdict is not None:
            return self.reply_verdict
        return Verdict.UNANSWERED if self.may_have_counted else Verdict.NOT_SENT
