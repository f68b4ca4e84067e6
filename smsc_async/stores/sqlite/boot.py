"""Which boot of the machine this is: monotonic stamps of two processes can be compared only within one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

__all__ = ["boot_id", "is_same_boot"]

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/time")
_EPOCH: Final = "since "
# How far two readings of the same boot's beginning may be apart: two clocks are read one after the other, and the wall
# clock is slewed. What is further apart counts as another boot, which costs a quarantine and breaks nothing.
_EPOCH_SECONDS: Final = 30.0


def boot_id() -> str:
    """Return a name for this boot, and for the clock that processes see of it."""
    try:
        boot = _LINUX.read_text("ascii").strip()
    except OSError:
        return f"{_EPOCH}{time.time() - time.monotonic():.0f}"
    try:
        # A container may have a monotonic clock of its own.
        return f"{boot} {_NAMESPACE.readlink()}"
    except OSError:
        return boot


def is_same_boot(one: str, other: str) -> bool:
    """Tell whether two names are of the same boot."""
    if one.startswith(_EPOCH) and other.startswith(_EPOCH):
        apart = float(one.removeprefix(_EPOCH)) - float(other.removeprefix(_EPOCH))
        return abs(apart) <= _EPOCH_SECONDS
    return one == other
