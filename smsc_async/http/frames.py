"""Frames of an exception without their locals, because a frame of a transport may hold the form."""

from __future__ import annotations

import opcode
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Final, cast

_YIELD: Final = opcode.opmap["YIELD_VALUE"]


def clear_frames(error: BaseException) -> None:
    """Clear the locals of all frames of an exception, and of the exceptions that it is chained to.

    Only frames that have ended are cleared. An exception that was raised before, in another task, also refers to frames
    that wait there, and ``FrameType.clear()`` would close their coroutines.
    """
    for each in chain(error):
        entry = each.__traceback__
        while entry is not None:
            if not _is_suspended(entry.tb_frame):
                with suppress(RuntimeError):  # it runs, or is suspended on CPython 3.13 and later
                    entry.tb_frame.clear()
            entry = entry.tb_next


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and then the members of a group, the cause and the context, each with its own, in this order."""
    pending, seen = [error], set[int]()
    while pending:
        each = pending.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [other for other in (each.__context__, each.__cause__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            pending += reversed(cast("BaseExceptionGroup[BaseException]", each).exceptions)


def _is_suspended(frame: FrameType) -> bool:
    # From 3.13 clear() itself refuses such a frame. Before, its last instruction is the yield that suspended it; a frame
    # that ended in an exception has another one.
    return sys.version_info < (3, 13) and frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _YIELD
