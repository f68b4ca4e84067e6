"""Records from columns, without their constructor.

A frozen attrs class sets each field through ``object.__setattr__``: 0.7 µs for a ``Zone``, as much as everything else
that is done for one (CPython 3.11). A draft is the same object with nothing frozen yet: its fields are set like those of
any class, and then it becomes the record, in 0.2 µs for all of it. This leaves out what a constructor can do beyond
setting fields, so it is for classes without converters and validators, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any, Final, TypeVar

from smsc_async.records import OperatorTariff, Zone

__all__ = ["build_operators", "build_zones"]

DraftT = TypeVar("DraftT")


class _ZoneDraft(Zone):
    __slots__ = ()
    # Both: the interpreter knows a plain way to set a field by their pair.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


class _OperatorDraft(OperatorTariff):
    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


def build_zones(ids: Sequence[str], *columns: Iterable[object]) -> tuple[Zone, ...]:
    """Return one zone for each id, its fields taken from the columns in the order of the class."""
    made = _drafts(_ZoneDraft, len(ids))
    draft: Any  # its fields may be set here
    for draft, draft.zone, draft.name, draft.api, draft.mass, draft.mms, draft.hlr, draft.call, draft.extra in zip(
        made, ids, *columns, strict=True
    ):
        draft.__class__ = Zone
    return made


def build_operators(ids: Sequence[str], *columns: Iterable[object]) -> tuple[OperatorTariff, ...]:
    """Return one individual tariff for each id, in the same way."""
    made = _drafts(_OperatorDraft, len(ids))
    draft: Any
    for draft, draft.mccmnc, draft.cost, draft.extra in zip(made, ids, *columns, strict=True):
        draft.__class__ = OperatorTariff
    return made


_NEW: Final[Callable[[type[Any]], Any]] = object.__new__


def _drafts(record: type[DraftT], number: int) -> tuple[DraftT, ...]:
    return tuple(map(_NEW, repeat(record, number)))
