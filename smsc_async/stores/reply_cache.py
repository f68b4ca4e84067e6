"""The lists that a process has at hand, so that what it knows already costs no look into a shared store."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import Final

from smsc_async.limiter.clock import now
from smsc_async.records import Tariffs
from smsc_async.stores.packed_reply import unpacked

__all__ = ["ReplyCache"]

Key = tuple[str, bytes]

# What a list takes in memory, at most; see ``memory.py``.
_LIST_BYTES: Final = 1_500
_ZONE_BYTES: Final = 900
_CODE_BYTES: Final = 300


class _Kept:
    """A list or the bytes of one, and when it came by both clocks: the monotonic one stands still in a machine's sleep."""

    __slots__ = ("at", "kept", "size", "wall")

    def __init__(self, kept: Tariffs | bytes, age: float) -> None:
        self.at = now() - age
        self.wall = time.time() - age
        self.hold(kept)

    def hold(self, kept: Tariffs | bytes) -> None:
        self.kept = kept
        self.size = (
            len(kept)
            if isinstance(kept, bytes)
            else _LIST_BYTES + len(kept.zones) * _ZONE_BYTES + len(kept.codes) * _CODE_BYTES
        )

    def is_older_than(self, seconds: float) -> bool:
        return now() - self.at > seconds or time.time() - self.wall > seconds


class ReplyCache:
    """Lists by endpoint and credentials, at most so many bytes of them, the least recently used going first.

    Thread-safe.
    """

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._bytes = 0
        self._lists: OrderedDict[Key, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: Key, what: Tariffs | bytes, age: float) -> None:
        """Keep a list that came so many seconds ago, or the bytes of one, which are decoded when asked for."""
        kept = _Kept(what, age)
        with self._lock:
            self._drop(key)
            self._lists[key] = kept
            self._bytes += kept.size
            self._trim()

    def find(self, key: Key, max_age: float) -> Tariffs | None:
        """Return a list if it is at most that many seconds old."""
        with self._lock:
            kept = self._lists.get(key)
            if kept is None or kept.is_older_than(max_age):
                return None
            self._lists.move_to_end(key)
            if isinstance(kept.kept, bytes):
                tariffs = unpacked(kept.kept, kept.wall)
                if tariffs is None:
                    self._drop(key)
                    return None
                self._bytes -= kept.size
                kept.hold(tariffs)
                self._bytes += kept.size
                self._trim()
            assert isinstance(kept.kept, Tariffs)
            return kept.kept

    def has(self, key: Key) -> bool:
        """Tell whether there is one, however old."""
        return key in self._lists

    def after_fork(self) -> None:
        """Go on in a child process, where no thread holds the lock."""
        self._lock = threading.Lock()

    def _drop(self, key: Key) -> None:
        former = self._lists.pop(key, None)
        if former is not None:
            self._bytes -= former.size

    def _trim(self) -> None:
        while self._bytes > self._keep_bytes:
            _, oldest = self._lists.popitem(last=False)
            self._bytes -= oldest.size
