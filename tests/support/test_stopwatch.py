from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.stopwatch import stopwatch


def test_a_wait_counts_in_full() -> None:
    with stopwatch() as watch:
        began = time.monotonic()
        time.sleep(0.5)
        took = time.monotonic() - began
    assert watch.seconds + watch.stalled >= took
    assert watch.seconds >= 0.1  # of a machine that is busy too a fifth is one's own


STOPPED = """
import os, sys, time
from tests.support.stopwatch import stopwatch
with stopwatch() as watch:
    print(os.getpid(), flush=True)
    time.sleep(0.1)
    sys.stdin.readline()
print(watch.seconds, watch.stalled)
"""


@pytest.mark.skipif(os.name == "nt", reason="no process is stopped there")
def test_a_process_that_is_stopped_has_taken_no_time() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.0)
        process.stdin.write("\n")
        process.stdin.flush()
        os.kill(pid, signal.SIGCONT)
        seconds, stalled = map(float, process.stdout.read().split())
    assert stalled >= 0.8
    assert seconds < 0.5
