"""The error of a request that the lockout rules refuse."""

from __future__ import annotations

from typing import Final

from smsc_async.errors import AddressPaused, CredentialsRefused, NotSent, TrialsExhausted
from smsc_async.fetch.lockout import Cause, Refused
from smsc_async.limiter.clock import now

_OWN_REASON: Final = (
    "two requests of this login were refused or have no reply (if its credentials are right, reset_lockouts(account))"
)


def not_sent(locked_out: Refused, free_at: float) -> NotSent:
    """Return the error for a refusal of the lockout rules."""
    if locked_out.cause is Cause.CREDENTIALS:
        return CredentialsRefused()
    # At once means that the end of a request in flight decides.
    retry_after = max(free_at - now(), 1.0)
    if locked_out.cause is Cause.ADDRESS:
        return AddressPaused(4, "", retry_after)
    return TrialsExhausted(retry_after, _OWN_REASON) if locked_out.own else TrialsExhausted(retry_after)
