"""What a limiter has in use, counted from outside: entries that are free and not removed yet count too."""

from __future__ import annotations

from collections.abc import Mapping

from smsc_async.limiter.bucket import FREE, IN_USE, Permit
from smsc_async.limiter.buckets import Buckets
from smsc_async.limiter.queue import WaiterQueue


def usage_counts(buckets: Buckets) -> Mapping[str, int]:
    """Return the number of logins in the table, of tokens and slots in use, and of slots that linger."""
    table = list(buckets._table.values())  # pyright: ignore[reportPrivateUsage]
    held = [bucket if isinstance(bucket, tuple) else (bucket,) for bucket in table]
    permits = [each for bucket in held for each in bucket if isinstance(each, Permit)]
    return {
        "buckets": len(table),
        "tokens_out": sum(permit.token_free_at == IN_USE for permit in permits),
        "slots": sum(permit.slot_free_at == IN_USE for permit in permits),
        "lingering": sum(FREE < permit.slot_free_at < IN_USE for permit in permits),
    }


def sweep(buckets: Buckets, now: float) -> None:
    """Remove everything that is free, as ``acquire`` does once a minute."""
    with buckets._lock:  # pyright: ignore[reportPrivateUsage]
        buckets._sweep(now)  # pyright: ignore[reportPrivateUsage]


def waiter_count(queue: WaiterQueue) -> int:
    """Return the number of waiters of all buckets and places."""
    lists = queue._waiters._lists  # pyright: ignore[reportPrivateUsage]
    return sum(len(each.waiters) for each in list(lists.values()))
