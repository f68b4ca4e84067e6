"""The part of a store that the waiter queue needs."""

from __future__ import annotations

from typing import Protocol

from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter.attempt import FetchLease
from smsc_async.limiter.bucket import Completion, Permit, Refusal


class PermitSource(Protocol):
    """The part of a store that a queue needs."""

    def try_acquire(self, permit: Permit) -> Permit | None:
        """Return the permit if it is available without an ``await``, else ``None``."""
        ...

    async def acquire(self, permit: Permit, *, lease: float, patience: float | None = None) -> Permit | Refusal:
        """Return the permit when it is acquired, or when to try again.

        Args:
            permit: The permit that the caller wants.
            lease: Seconds after which the request has ended even if this process dies; ``inf`` if unknown.
            patience: Seconds for which the caller can wait, ``None`` for as long as ``lease``. A store that is closed for
                longer raises ``StoreNotReady``.
        """
        ...

    def try_release(self, permit: Permit, completion: Completion, verdict: Verdict | None = None) -> bool:
        """Release a permit if that is possible without an ``await``; return whether it was."""
        ...

    async def release(
        self,
        permit: Permit,
        completion: Completion,
        verdict: Verdict | None = None,
        lease: FetchLease | None = None,
    ) -> None:
        """Release a permit. A cancellation of the caller does not interrupt the release.

        Args:
            permit: The permit.
            completion: How the exchange ended.
            verdict: What the exchange showed about the credentials.
            lease: The lease of a fetch that ends with this request, with its list.
        """
        ...
