"""The lists of each account in the order of their instants, and what each of them changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from smsc_async.analysis.diff import Change, diff
from smsc_async.analysis.snapshots import Snapshot
from smsc_async.records import checked_type


class Timeline(NamedTuple):
    """The lists of one account, oldest first; at least one."""

    account: str
    snapshots: tuple[Snapshot, ...]

    @property
    def newest(self) -> Snapshot:
        """The list that the tables show."""
        return self.snapshots[-1]

    def steps(self) -> tuple[tuple[Change, ...], ...]:
        """Return what each list changed of the one before it: one fewer than there are lists."""
        return tuple(diff(old.tariffs, new.tariffs) for old, new in pairwise(self.snapshots))


def timelines_of(snapshots: Iterable[Snapshot]) -> tuple[Timeline, ...]:
    """Return the accounts in the order in which they first come; of two lists of one instant the later given counts."""
    taken: dict[str, dict[datetime, Snapshot]] = {}
    for snapshot in snapshots:
        checked_type(
            "each of the snapshots", snapshot, Snapshot, "a Snapshot, such as Snapshot(name, taken_at, tariffs)"
        )
        taken.setdefault(snapshot.account, {})[snapshot.taken_at] = snapshot
    return tuple(Timeline(account, tuple(each[instant] for instant in sorted(each))) for account, each in taken.items())
