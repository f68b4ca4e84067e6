"""Each target for a bounded time: a tenth of a second, a second in the exhaustive tests, or FUZZ_SECONDS."""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from tests.fuzz.targets import SEEDS, TARGETS, mutated
from tests.support.slow import exhaustive_after

SECONDS = [float(os.environ["FUZZ_SECONDS"])] if "FUZZ_SECONDS" in os.environ else [0.1, 1.0]


@pytest.mark.parametrize("seconds", exhaustive_after(1, SECONDS))
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.no_cover
def test_whatever_comes_is_a_list_or_an_error_of_ours(name: str, seconds: float) -> None:
    target = TARGETS[name]
    for sample in SEEDS:
        target(sample)
    seed = int.from_bytes(os.urandom(4)) if seconds >= 5 else 1
    chance = random.Random(seed)
    until = time.perf_counter() + seconds
    n = 0
    while n < 100 or time.perf_counter() < until:
        body = mutated(chance)
        n += 1
        try:
            target(body)
        except Exception as error:  # noqa: BLE001  # the body is what one needs of it
            pytest.fail(f"seed {seed}, input {n}: {type(error).__name__}: {error}\n{body!r}")
    sys.stdout.write(f"{name}: {n / seconds:.0f} inputs a second, seed {seed}\n")


def test_the_fuzzing_finds_what_is_wrong() -> None:
    def wrong(body: bytes) -> None:
        assert b"NaN" not in body

    def run() -> None:
        chance = random.Random(1)
        for _ in range(10_000):
            wrong(mutated(chance))

    with pytest.raises(AssertionError):
        run()
