"""The lists that a process has in memory: one cache for all stores.

A list is stored as its reply, which takes a fifth of the memory, until somebody uses it again. A job that fetches thousands
of accounts uses no list twice, so it fills the memory with replies and leaves few objects to the garbage collector.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

import attrs

from smsc_async.accounts import Account
from smsc_async.decoder import decode
from smsc_async.limiter.clock import now
from smsc_async.protocol import Reply, declared_charset
from smsc_async.records import Tariffs

CacheKey = tuple[str, bytes]  # the endpoint, and the fingerprint of the account

LONG_BODY: Final = 128 * 1024
"""The bytes from which a body is decoded in a thread. The loop must not stop for 10 ms, and decoding takes 35 to 60 ns a
byte, by format (CPython 3.11), so this is half of that. A thread costs a tenth of a millisecond, and the loop continues."""

# The most memory that a list takes: measured with tracemalloc on CPython 3.11 for a list in which no two prices are equal
# (a Decimal is 104 bytes, and a real list has few distinct ones). tests/stores/test_memory.py checks the figures.
_LIST_BYTES: Final = 1_500
_ZONE_BYTES: Final = 900
_CODE_BYTES: Final = 300
# What a reply takes beside its body.
_REPLY_BYTES: Final = 1_000


@attrs.frozen
class Undecoded:
    """A list that is decoded at its first use, unless the caller that fetched it still has it.

    Attributes:
        decode: Returns the list, or ``None`` if the reply cannot be decoded.
        length: The bytes of the reply.
        fetched: A weak reference to the list that was fetched, if this process has fetched it.
    """

    decode: Callable[[], Tariffs | None]
    length: int
    fetched: weakref.ref[Tariffs] | None = None

    def tariffs(self) -> Tariffs | None:
        """Return the list, or ``None`` if the reply cannot be decoded."""
        tariffs = None if self.fetched is None else self.fetched()
        return self.decode() if tariffs is None else tariffs


def decode_reply(reply: Reply, fetched_at: datetime) -> Tariffs:
    """Return the list in a reply, with the instant at which the reply arrived.

    Raises:
        SmscError: As ``decode``.
    """
    return attrs.evolve(decode(reply.body, charset=declared_charset(reply.content_type)), fetched_at=fetched_at)


def cacheable(reply: Reply | None, tariffs: Tariffs) -> Tariffs | Undecoded:
    """Return a list in the form to cache it: as its reply, unless its decoding would block the event loop for long."""
    if reply is None or tariffs.fetched_at is None or len(reply.body) >= LONG_BODY:
        return tariffs
    return Undecoded(partial(decode_reply, reply, tariffs.fetched_at), len(reply.body), weakref.ref(tariffs))


def size_of(cached: Tariffs | Undecoded) -> int:
    """Return the bytes that a cached list takes, at most."""
    if isinstance(cached, Undecoded):
        return _REPLY_BYTES + cached.length
    return _LIST_BYTES + len(cached.zones) * _ZONE_BYTES + len(cached.codes) * _CODE_BYTES


@attrs.frozen(eq=False)
class _Entry:
    """A list with its size, and the instant of the fetch by two clocks.

    The age is the larger one: the monotonic clock may stop while a virtual machine is paused, the wall clock may be set
    back.
    """

    cached: Tariffs | Undecoded
    fetched_at: float
    fetched_at_wall: float
    size: int


class _Entries(OrderedDict[CacheKey, _Entry]):
    """Entries in the order of their use. The least recently used are dropped if the size exceeds the limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self._max_bytes = max_bytes
        self._bytes = 0

    def put(self, key: CacheKey, entry: _Entry) -> None:
        self.drop(key)
        self[key] = entry
        self._bytes += entry.size
        while self._bytes > self._max_bytes:
            self.drop(next(iter(self)))

    def drop(self, key: CacheKey) -> None:
        former = self.pop(key, None)
        if former is not None:
            self._bytes -= former.size


class ReplyCache:
    """Lists by endpoint and credentials. A quarter of the bytes is for undecoded lists, and the rest for decoded ones.

    Thread-safe.
    """

    def __init__(self, max_bytes: int) -> None:
        self._undecoded = _Entries(max_bytes // 4)
        self._decoded = _Entries(max_bytes - max_bytes // 4)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._decoded.keys() | self._undecoded.keys())

    def __contains__(self, key: CacheKey) -> bool:
        """Whether there is a list, however old."""
        return key in self._decoded or key in self._undecoded

    def put(self, key: CacheKey, cached: Tariffs | Undecoded, age: float) -> None:
        """Store a list that was fetched ``age`` seconds ago."""
        entry = _Entry(cached, now() - age, time.time() - age, size_of(cached))
        with self._lock:
            self._decoded.drop(key)
            self._undecoded.drop(key)
            (self._decoded if isinstance(cached, Tariffs) else self._undecoded).put(key, entry)

    def find(self, key: CacheKey, max_age: float) -> Tariffs | None:
        """Return a list if it is at most ``max_age`` seconds old."""
        with self._lock:
            entry = self._decoded.get(key)
            if entry is None:
                entry = self._undecoded.get(key)  # decoded and moved below
            else:
                self._decoded.move_to_end(key)
        if entry is None or now() - entry.fetched_at > max_age or time.time() - entry.fetched_at_wall > max_age:
            return None
        if isinstance(entry.cached, Tariffs):
            return entry.cached
        tariffs = entry.cached.tariffs()  # without the lock: other threads need not wait for it
        with self._lock:
            if self._undecoded.get(key) is entry:
                if tariffs is None:
                    self._undecoded.drop(key)
                else:
                    self._decoded.put(key, attrs.evolve(entry, cached=tariffs, size=size_of(tariffs)))
        return tariffs

    def forget(self, account: Account) -> None:
        """Drop the lists of an account."""
        with self._lock:
            for entries in (self._decoded, self._undecoded):
                for key in [each for each in entries if each[1] == account.fingerprint]:
                    entries.drop(key)

    def after_fork(self) -> None:
        """Replace the lock in a forked child, in which no thread can release it."""
        self._lock = threading.Lock()
