"""The identifier of the current boot: instants of two processes are comparable only within one boot of the machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from smsc_async.limiter.clock import system_now

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/time")
_INITIAL_NAMESPACE: Final = " time:[4026531834]"  # a constant of Linux; other time namespaces may shift the clock
_MACOS: Final = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
_EPOCH: Final = "since "
# Seconds by which two readings of one boot's start may differ: the two clocks are read one after the other, and the wall
# clock is corrected. A larger difference counts as another boot, which closes the store for a while and breaks nothing.
_EPOCH_SECONDS: Final = 30.0


def boot_id() -> str:
    """Return the identifier of this boot, and of the clock that this process sees."""
    try:
        if sys.platform == "darwin":  # pragma: no cover  # macOS
            return subprocess.run(_MACOS, capture_output=True, check=True, encoding="ascii").stdout.strip()  # noqa: S603  # no argument of others
        boot = _LINUX.read_text("ascii").strip()
    except (OSError, subprocess.SubprocessError):
        # Windows documents no identifier. This one cannot tell a boot from a wall clock that was set.
        return f"{_EPOCH}{time.time() - system_now():.0f}"
    try:
        # A container may have a clock of its own.
        return f"{boot} {_NAMESPACE.readlink()}"
    except OSError:
        return boot


def is_same_boot(one: str, other: str) -> bool:
    """Whether two identifiers mean the same boot."""
    if one.startswith(_EPOCH) and other.startswith(_EPOCH):
        difference = float(one.removeprefix(_EPOCH)) - float(other.removeprefix(_EPOCH))
        return abs(difference) <= _EPOCH_SECONDS
    return one == other


def starts_at_boot(boot: str) -> bool:
    """Whether the clock of the library is known to be 0 at the boot with that identifier."""
    return not boot.startswith(_EPOCH) and (" " not in boot or boot.endswith(_INITIAL_NAMESPACE))
