"""Eight processes over a Redis Cluster whose nodes fail: judged at the simulator's own log."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import chain, pairwise

import pytest

from smsc_async.protocol import quota_key, service_of
from smsc_async.simulator import Arrival, Rules, SimulatedAccount, Simulator, serve
from smsc_async.stores.keys import Keys, wrapped_pepper
from smsc_async.stores.redis.topology import SHARDS, shard_tag
from tests.stores.redis_cluster import NODE_TIMEOUT, Node, RedisCluster, wait_until
from tests.stores.test_processes import Workers
from tests.support.server_log_checks import windows_broken
from tests.support.stopwatch import Stopwatch

pytestmark = pytest.mark.slow

PER = 1.0
PROCESSES = 8
SECONDS = 18.0
DEADLINE = 3.0


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    workers = Workers()
    yield workers
    workers.end()


@contextmanager
def _service() -> Generator[tuple[Simulator, str]]:
    """Serve with 20 % of a window of jitter, on the way to the reply."""
    simulator = Simulator([], rules=Rules(per=PER), latency=(0.0, 0.2 * PER), seed=1)
    with serve(simulator) as server:
        yield simulator, server.base_url


def _logins(cluster: RedisCluster, base_url: str) -> dict[Node, list[str]]:
    """Return three logins of each master."""
    keys = Keys(wrapped_pepper("a long random text"))
    found: dict[Node, list[str]] = {node: [] for node in cluster.masters}
    for login in (f"login-{number}" for number in range(1_000)):
        digest = keys.login(quota_key(service_of(base_url), login))
        tag = shard_tag(int(digest[:8], 16) % SHARDS)
        node = next(node for node in cluster.masters if tag in cluster.tags_of(node))
        found[node] = [*found[node], login][:3]
    return found


@pytest.mark.parametrize(
    ("killed", "stopped"), [(2, 1), (0, 2)], ids=["of some logins", "of some logins and of the lockouts"]
)
def test_eight_processes_keep_the_quota_while_a_master_is_killed_and_another_one_is_stopped(
    cluster: RedisCluster, workers: Workers, killed: int, stopped: int
) -> None:
    with _service() as (service, base_url):
        logins = _logins(cluster, base_url)
        for login in chain(*logins.values()):
            service.put(SimulatedAccount(login, "123"))
        watch = Stopwatch()
        watch.start()
        words = (cluster.url, base_url, PER, SECONDS, DEADLINE, ",".join(chain(*logins.values())))
        for number in range(PROCESSES):
            workers.start(f"worker-{number}", "load", *words)
        # All credentials have worked for a while: a trial whose result is lost counts as unanswered for ten minutes.
        wait_until(lambda: all(len(service.arrivals(login)) >= 4 for login in chain(*logins.values())))
        spared = logins[cluster.masters[3 - killed - stopped]]
        time.sleep(1.0)
        began = time.monotonic()
        cluster.fail_over(cluster.masters[killed], lost=0.9 * PER)
        failed_over = time.monotonic()
        time.sleep(1.5)
        _wait_until_served(service, spared, began + PER)
        cluster.masters[stopped].signal(signal.SIGSTOP)
        began = time.monotonic()
        time.sleep(2.5 * NODE_TIMEOUT)
        # The logins of the third master are served while both others fail: after a window, with permits of this time.
        _wait_until_served(service, spared, began + PER)
        cluster.masters[stopped].signal(signal.SIGCONT)
        continued = time.monotonic()
        said = [json.loads(workers.hear()[2]) for _ in range(PROCESSES)]
        watch.stop()
        total = sum(map(Counter, ({k: v for k, v in each.items() if k != "late"} for each in said)), Counter[str]())
        gaps = {node: max(map(_longest_gap, map(service.arrivals, names))) for node, names in logins.items()}
        names = ("first", "second", "third")
        print(  # noqa: T201  # seen with `pytest -s`
            f"\n{len(service.log)} requests; {dict(total)}; stalls {watch.stalled:.1f} s; longest gap of a login at the",
            ", ".join(f"{name} master {gap:.1f} s" for name, gap in zip(names, gaps.values(), strict=True)),
        )
        assert service.violations() == []
        assert {each.code for each in service.log} == {0}
        for login in chain(*logins.values()):
            arrivals = service.arrivals(login)
            assert windows_broken([(each.at, each.finished_at) for each in arrivals], per=PER) == []
        # All are served at the end.
        for login in logins[cluster.masters[killed]]:
            assert [each for each in service.arrivals(login) if each.at > failed_over]
        for login in logins[cluster.masters[stopped]]:
            assert [each for each in service.arrivals(login) if each.at > continued]
        assert max(each["late"] for each in said) < 0.5


def _wait_until_served(service: Simulator, logins: list[str], since: float) -> None:
    wait_until(lambda: all(any(each.at > since for each in service.arrivals(login)) for login in logins))


def _longest_gap(arrivals: list[Arrival]) -> float:
    return max(later.at - sooner.at for sooner, later in pairwise(arrivals))


def test_wrong_passwords_of_many_processes_reach_the_service_four_times(
    cluster: RedisCluster, workers: Workers
) -> None:
    with _service() as (service, base_url):
        for number in range(PROCESSES):
            logins = [f"login-{number}-{each}" for each in range(4)]
            for login in logins:
                service.put(SimulatedAccount(login, "123"))
            workers.start(f"worker-{number}", "guess", cluster.url, base_url, PER, ",".join(logins))
        said = Counter[str]()
        for _ in range(PROCESSES):
            said.update(json.loads(workers.hear()[2]))
        assert [each.code for each in service.log] == [2] * 4
        assert said["AuthenticationError"] == 4
        # On a busy machine a node may not answer in time.
        others = {each for each in said if "within 0.9 s" not in each}
        assert others == {"AuthenticationError", "TrialsExhausted"}
