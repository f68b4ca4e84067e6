"""The clock of the library: one for all event loops, threads and runs, whatever the classes of a dependency are called."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
import threading
from collections.abc import Callable

import anyio
import pytest

from smsc_async.limiter import clock
from smsc_async.limiter.clock import now, system_now, use_clock
from tests.support.slow import EXHAUSTIVE_CASE
from tests.support.virtual_time import BACKEND_NAMES, START_SECONDS, BackendName, run_virtual

# Thirty runs of an event loop within a second, each of which tries to acquire three permits of one login.
PROGRAM = """
import sys
{prepare}
from smsc_async import MemoryStore, Quota
from smsc_async.limiter.bucket import Completion, Permit
from smsc_async.limiter.clock import now
store, granted = MemoryStore(), 0
async def burst():
    global granted
    for _ in range(3):
        if permit := store.try_acquire(Permit("alex", Quota(), token=True)):
            permit.seen = now()
            store.try_release(permit, Completion.COMPLETE)
            granted += 1
for _ in range(30):
    {run}(burst())
print(granted)
"""
TRIO = "import trio; run = lambda coroutine: trio.run(lambda: coroutine)"
RENAMED = f"{TRIO}; from trio._core import _run; _run.SystemClock.__name__ = 'WallClock'"
OTHER_LOOP = (
    "import asyncio\n"
    "class OtherLoop(asyncio.SelectorEventLoop):\n"
    "    def time(self): return super().time() + 1e6 * id(self)\n"
    "def run(coroutine):\n"
    "    with asyncio.Runner(loop_factory=OtherLoop) as runner: runner.run(coroutine)\n"
)


@pytest.mark.parametrize(
    ("prepare", "run"),
    [
        pytest.param("import asyncio", "asyncio.run", id="asyncio", marks=EXHAUSTIVE_CASE),
        pytest.param(OTHER_LOOP, "run", id="a loop with another origin"),
        pytest.param(TRIO, "run", id="trio", marks=EXHAUSTIVE_CASE),
        pytest.param(RENAMED, "run", id="trio with a renamed clock"),
    ],
)
def test_thirty_event_loops_in_a_second_share_three_tokens(prepare: str, run: str) -> None:
    program = PROGRAM.format(prepare=prepare, run=run)
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True).stdout
    assert output == "3\n"


def _in_thread(read: Callable[[], float]) -> float:
    results: list[float] = []
    thread = threading.Thread(target=lambda: results.append(read()))
    thread.start()
    thread.join()
    return results[0]


async def _read() -> float:
    return now()


def test_instants_of_threads_and_event_loops_are_comparable() -> None:
    readings = [
        now(),
        _in_thread(now),
        anyio.run(_read, backend="trio"),
        _in_thread(lambda: asyncio.run(_read())),
        anyio.run(_read, backend="asyncio"),
        now(),
    ]
    assert readings == sorted(readings)
    assert readings[-1] - readings[0] < 60.0


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name their clocks differently")
def test_the_clock_counts_the_sleep_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    # What the kernel reports after an hour of sleep: CLOCK_MONOTONIC stands still, CLOCK_BOOTTIME does not.
    real = time.clock_gettime
    slept = {time.CLOCK_BOOTTIME: 3600.0}
    before = system_now()

    def after_sleep(number: int) -> float:
        return real(number) + slept.get(number, 0.0)

    monkeypatch.setattr(time, "clock_gettime", after_sleep)
    # A second copy of the module, because the first one has looked the function up.
    after = runpy.run_path(clock.__file__)["system_now"]()
    assert after - before >= 3600.0


@pytest.mark.parametrize("backend", BACKEND_NAMES)
def test_a_test_injects_the_virtual_time_of_its_event_loop(backend: BackendName) -> None:
    async def read_around_a_day() -> tuple[float, float]:
        before = now()
        await anyio.sleep(86_400.0)
        return before, now()

    before, after = run_virtual(backend, read_around_a_day)
    assert before == pytest.approx(START_SECONDS, abs=1.0)
    assert after - before == pytest.approx(86_400.0)


def test_the_clock_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smsc_async.limiter.clock._read", system_now)  # restored afterwards
    use_clock(lambda: 7.0)
    assert now() == 7.0
