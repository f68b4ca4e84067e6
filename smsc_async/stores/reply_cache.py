"""The lists that a process has in memory: one cache for all stores."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

import attrs

from smsc_async.accounts import Account
from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs

CacheKey = tuple[str, bytes]  # the endpoint, and the fingerprint of the account

# The most memory that a list takes: measured with tracemalloc on CPython 3.11 for a list in which no two prices are equal
# (a Decimal is 104 bytes, and a real list has few distinct ones). tests/stores/test_memory.py checks the figures.
_LIST_BYTES: Final = 1_500
_ZONE_BYTES: Final = 900
_CODE_BYTES: Final = 300


def size_of(cached: Tariffs | bytes) -> int:
    """Return the bytes that a cached list takes, at most."""
    if isinstance(cached, bytes):
        return len(cached)
    return _LIST_BYTES + len(cached.zones) * _ZONE_BYTES + len(cached.codes) * _CODE_BYTES


@attrs.define(eq=False)
class _Entry:
    """A list or its packed bytes with their size, and the instant of the fetch by two clocks.

    The age is the larger one: the monotonic clock may stop while a virtual machine is paused, the wall clock may be set
    back.
    """

    cached: Tariffs | bytes
    size: int
    fetched_at: float
    fetched_at_wall: float

    def is_older_than(self, seconds: float) -> bool:
        return now() - self.fetched_at > seconds or time.time() - self.fetched_at_wall > seconds


class ReplyCache:
    """Lists by endpoint and credentials. The least recently used lists are dropped if the size exceeds the limit.

    Thread-safe.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[CacheKey, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: CacheKey, cached: Tariffs | bytes, age: float) -> None:
        """Store a list that was fetched ``age`` seconds ago, or its packed bytes, which are decoded at the first use."""
        entry = _Entry(cached, size_of(cached), now() - age, time.time() - age)
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._bytes += entry.size
            self._trim()

    def find(self, key: CacheKey, max_age: float) -> Tariffs | None:
        """Return a list if it is at most ``max_age`` seconds old."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.is_older_than(max_age):
                return None
            self._entries.move_to_end(key)
            if isinstance(entry.cached, Tariffs):
                return entry.cached
            # Imported by the store that has put the bytes there; a MemoryStore needs neither seals nor compression.
            from smsc_async.stores.sealed_reply import unpacked  # noqa: PLC0415

            tariffs = unpacked(entry.cached, entry.fetched_at_wall)
            if tariffs is None:
                self._drop(key)
                return None
            self._bytes += size_of(tariffs) - entry.size
            entry.cached, entry.size = tariffs, size_of(tariffs)
            self._trim()
            return tariffs

    def has(self, key: CacheKey) -> bool:
        """Whether there is a list, however old."""
        return key in self._entries

    def forget(self, account: Account) -> None:
        """Drop the lists of an account."""
        with self._lock:
            for key in [each for each in self._entries if each[1] == account.fingerprint]:
                self._drop(key)

    def after_fork(self) -> None:
        """Replace the lock in a forked child, in which no thread can release it."""
        self._lock = threading.Lock()

    def _drop(self, key: CacheKey) -> None:
        former = self._entries.pop(key, None)
        if former is not None:
            self._bytes -= former.size

    def _trim(self) -> None:
        while self._bytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.size
