"""Records from columns, without their constructor.

A frozen attrs class sets each field through ``object.__setattr__``: 0.8 µs for a ``Zone``, as much as everything else
that is done for one (CPython 3.11). The slots' own descriptors, applied to a column at a time, do it in 0.45 µs. This
leaves out what a constructor can do beyond setting fields, so it is for classes without converters and validators,
which a test holds, and it wants a column for every field.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import TypeVar

import attrs

from smsc_async.records import OperatorTariff, Zone

__all__ = ["build"]

RecordT = TypeVar("RecordT", Zone, OperatorTariff)


def build(record: type[RecordT], ids: Sequence[str], *columns: Iterable[object]) -> tuple[RecordT, ...]:
    """Return one record for each id, its fields taken from the columns in the order of the class."""
    new: Callable[[type[RecordT]], RecordT] = object.__new__
    made = tuple(map(new, repeat(record, len(ids))))
    for field, column in zip(attrs.fields(record), (ids, *columns), strict=True):
        put: Callable[[RecordT, object], None] = vars(record)[field.name].__set__
        deque(map(put, made, column), maxlen=0)
    return made
