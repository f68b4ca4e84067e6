"""An exception at every line of the exchange: no frame, note, log record or event shows the secret."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import anyio
import pytest

from smsc_async import Account, Client, MemoryStore, Quota
from smsc_async.fetch import interpret
from smsc_async.http import body, connector, form, limited_exchange, send
from tests.faults.hostile import LIST, Act, answer, hostile, says
from tests.support.secret_search import SECRET, all_logs, found_in, shown_by

MODULES: Final = (send, form, body, connector, limited_exchange, interpret)
FILES: Final = {str(each.__file__) for each in MODULES}
FAST: Final = Quota(requests=10_000, concurrent=10_000)
ACTS: Final[dict[str, Act]] = {
    "list": says(answer(LIST)),
    "echo": says(answer(f"you sent {SECRET}".encode())),
    "cut": says(answer(LIST)[:-20], then_close=True),
}


class Planted(Exception):
    """Raised by the trace function."""


class Tracer:
    """Raises at the line event of that number, in one of the files."""

    def __init__(self, number: int, error: type[BaseException]) -> None:
        self.left = number
        self.place = ""
        self._error = error

    def __call__(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self._error
        return self


def _shown_with_a_fault_at(number: int, base_url: str, error: type[BaseException]) -> tuple[Tracer, list[str]]:
    tracer, shown, events = Tracer(number, error), list[str](), list[object]()

    async def main() -> None:
        client = Client(
            Account("alex", SECRET),
            base_url=base_url,
            store=MemoryStore(),
            quota=FAST,
            retries=0,
            on_event=events.append,
        )
        async with client:
            before = sys.gettrace()  # that of coverage
            sys.settrace(tracer)
            try:
                await client.tariffs(deadline=10)
            except BaseException as caught:  # noqa: BLE001  # what is shown of it is the point
                sys.settrace(before)
                shown.extend(shown_by(caught))
            finally:
                sys.settrace(before)

    with all_logs() as lines:
        try:
            anyio.run(main)
        except (KeyboardInterrupt, SystemExit) as caught:
            shown.extend(shown_by(caught))
    return tracer, [*shown, *lines, *map(repr, events)]


@pytest.mark.parametrize(
    ("act", "error"), [*((act, Planted) for act in ACTS), ("list", KeyboardInterrupt), ("list", SystemExit)]
)
def test_a_fault_at_any_line_shows_the_secret_nowhere(act: str, error: type[BaseException]) -> None:
    leaks: list[str] = []
    number, places = 0, set[str]()
    # A fault in the lines that close a connection leaves it to the garbage collector.
    with hostile(ACTS[act]) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while True:
            number += 1
            tracer, shown = _shown_with_a_fault_at(number, server.base_url, error)
            if not tracer.place:
                break
            places.add(tracer.place)
            gc.collect()
            leaks += [f"{tracer.place}: {each[:2000]}" for each in shown if found_in(each, SECRET)]
    assert leaks == []
    assert len(places) > 60
    reached = {each.rpartition(":")[0] for each in places}
    assert reached == (FILES - {str(interpret.__file__)} if act == "cut" else FILES)


def test_the_search_would_find_a_secret_in_such_a_frame() -> None:
    def leaky(form: str) -> None:
        raise Planted

    with pytest.raises(Planted) as caught:
        leaky(f"psw={SECRET}")
    assert any(found_in(each, SECRET) for each in shown_by(caught.value))
