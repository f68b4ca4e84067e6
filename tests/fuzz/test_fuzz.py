"""Each target for a bounded time: a fifth of a second by default, or FUZZ_SECONDS."""

from __future__ import annotations

import os
import random
import sys
import time

import pytest

from tests.fuzz.targets import SEEDS, TARGETS, mutated

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.2"))


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.no_cover
def test_whatever_comes_is_a_list_or_an_error_of_ours(name: str) -> None:
    target = TARGETS[name]
    for sample in SEEDS:
        target(sample)
    seed = int.from_bytes(os.urandom(4)) if SECONDS >= 5 else 1
    chance = random.Random(seed)
    until = time.perf_counter() + SECONDS
    n = 0
    while n < 100 or time.perf_counter() < until:
        body = mutated(chance)
        n += 1
        try:
            target(body)
        except Exception as error:  # noqa: BLE001  # the body is what one needs of it
            pytest.fail(f"seed {seed}, input {n}: {type(error).__name__}: {error}\n{body!r}")
    sys.stdout.write(f"{name}: {n / SECONDS:.0f} inputs a second, seed {seed}\n")


def test_the_fuzzing_finds_what_is_wrong() -> None:
    def wrong(body: bytes) -> None:
        assert b"NaN" not in body

    def run() -> None:
        chance = random.Random(1)
        for _ in range(10_000):
            wrong(mutated(chance))

    with pytest.raises(AssertionError):
        run()
