"""The garbage collector may end an abandoned call anywhere, also where its thread has a lock that the call needs too.

What stands for a collection here is a call from the place where one would fall due: within what the lock is for.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from smsc_async import Account, MemoryStore, Quota
from smsc_async.fetch.lockout import Verdict
from smsc_async.limiter import buckets as buckets_module
from smsc_async.limiter import wait_lists
from smsc_async.limiter.bucket import Bucket, Completion, Held, Permit, held_of
from smsc_async.limiter.credentials import Credentials
from tests.limiter.counts import usage_counts, waiter_count

QUOTA = Quota(requests=1)


def _ends(work: Callable[[], object]) -> None:
    """Run something that is not to wait for itself."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # told in the test's thread
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20.0)
    assert not thread.is_alive(), "it waits for a lock that it has itself"
    assert not failures, failures


@pytest.mark.parametrize("ending", Completion)
def test_a_permit_can_be_given_back_while_another_is_taken(monkeypatch: pytest.MonkeyPatch, ending: Completion) -> None:
    store = MemoryStore()
    lost, other = (store.try_acquire(Permit(login, QUOTA, token=True)) for login in ("alex", "boris"))
    assert lost is not None
    assert other is not None

    def with_finalizer(bucket: Bucket, now: float) -> Held:
        monkeypatch.setattr(buckets_module, "held_of", held_of)
        store.try_release(lost, ending)
        return held_of(bucket, now)

    monkeypatch.setattr(buckets_module, "held_of", with_finalizer)
    _ends(lambda: store.try_acquire(Permit("boris", QUOTA, token=True)))
    assert usage_counts(store._buckets)["slots"] == 1  # pyright: ignore[reportPrivateUsage]  # what is left over is inside
    assert (store.try_acquire(Permit("alex", QUOTA, token=True)) is not None) == (ending is Completion.NOT_SENT)


def test_a_permit_that_is_given_back_while_somebody_joins_a_line_wakes_the_head_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    lost, other = (store.try_acquire(Permit(login, QUOTA, token=True)) for login in ("alex", "boris"))
    assert lost is not None
    assert other is not None
    init = wait_lists.Waiting.__init__

    def with_finalizer(bucket: wait_lists.Waiting) -> None:
        assert store.queue.try_release(lost, Completion.NOT_SENT)
        init(bucket)

    async def take(login: str) -> Permit:
        return await store.queue.acquire(Permit(login, QUOTA, token=True))

    async def main() -> None:
        waiting = asyncio.create_task(take("alex"))
        await asyncio.sleep(0)
        monkeypatch.setattr(wait_lists.Waiting, "__init__", with_finalizer)
        joining = asyncio.create_task(take("boris"))
        await asyncio.wait_for(waiting, 5.0)
        assert store.queue.try_release(other, Completion.NOT_SENT)
        await asyncio.wait_for(joining, 5.0)
        assert waiter_count(store.queue) == 0

    _ends(lambda: asyncio.run(main()))


def test_a_call_that_waits_can_be_ended_while_somebody_joins_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    held = [store.try_acquire(Permit(login, QUOTA, token=True)) for login in ("alex", "boris")]
    assert None not in held
    init = wait_lists.Waiting.__init__
    waiting = store.queue.acquire(Permit("alex", QUOTA, token=True))

    def with_finalizer(bucket: wait_lists.Waiting) -> None:
        waiting.close()
        init(bucket)

    async def main() -> None:
        future = waiting.send(None)  # as a loop does it, which is closed then
        assert future is not None
        assert waiter_count(store.queue) == 1
        monkeypatch.setattr(wait_lists.Waiting, "__init__", with_finalizer)
        joining = asyncio.create_task(store.queue.acquire(Permit("boris", QUOTA, token=True)))
        await asyncio.sleep(0)
        assert waiter_count(store.queue) == 1
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert waiter_count(store.queue) == 0

    _ends(lambda: asyncio.run(main()))


def test_flights_and_lockouts_can_learn_of_an_end_while_their_locks_are_held() -> None:
    store = MemoryStore()
    credentials = Credentials("smsc", Account("alex", "wrong"))

    async def main() -> None:
        flight, _ = store.flights.join("key", 1e9)
        permit = store.try_acquire(Permit("alex", QUOTA, token=True, credentials=credentials))
        assert permit is not None
        with store.flights._lock, flight._lock, store._rules_lock:  # pyright: ignore[reportPrivateUsage]
            store.flights.complete("key", flight, None)
            store.try_release(permit, Completion.COMPLETE, Verdict.REFUSED)
        assert len(store.flights) == 0
        assert [each.login for each in store.lockouts("smsc")] == ["alex"]

    _ends(lambda: asyncio.run(main()))
